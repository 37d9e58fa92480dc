"""`ra-train fit zoo`: from prepared folders to weights, and refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ra_training.cli import main
from ra_training.data.prepared import Prepared
from ra_training.data.sample import Sample

RECIPE = Path(__file__).parents[4] / "training" / "recipes" / "zoo.toml"
SMALL = ("architecture=mobilenet_v2", "epochs=1", "batch=4", "scheme=head")


def folder(path: Path, n: int = 8) -> str:
    """A saved set of noise; its folder's name is in the names of its patients."""
    pixels = np.random.default_rng(1).integers(0, 255, (n, 64, 64), np.uint8)
    samples = tuple(
        Sample(
            key=f"k{i}", patient_id=f"{path.name}{i}", visit="1", source="phantom", image=None,
            hands="left", score=float(3 * i),
        )
        for i in range(n)
    )  # fmt: skip
    Prepared(pixels=pixels, samples=samples, unit="hand").save(path, {})
    return str(path)


def arguments(tmp_path: Path, *changes: str) -> list[str]:
    """A small run by the shipped configuration."""
    sets = [word for change in (*SMALL, *changes) for word in ("--set", change)]
    train, valid = (folder(tmp_path / name) for name in ("train", "valid"))
    out = str(tmp_path / "run")
    return ["fit", "zoo", str(RECIPE), "--train", train, "--valid", valid, "--out", out, *sets]


def test_a_network_is_trained_from_the_shipped_configuration(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="install ra-daemon[train]")
    done = CliRunner().invoke(main, arguments(tmp_path))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["step"], told["epochs"], told["done"]) == (2, 1, True)
    assert told["valid_rmse"] > 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (saved["architecture"], saved["augment"]["turn_degrees"]) == ("mobilenet_v2", 20.0)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors", "config.json", "member.safetensors", "metrics.jsonl",
    ]  # fmt: skip


def test_a_patient_in_both_sets_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="install ra-daemon[train]")
    words = arguments(tmp_path)
    words[words.index("--valid") + 1] = str(tmp_path / "train")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert "patients-overlap: 8 patients are in both train and valid" in done.output
    assert not (tmp_path / "run").exists()


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="install ra-daemon[train]")
    done = CliRunner().invoke(main, arguments(tmp_path, "optimiser.peek=1"))
    assert done.exit_code == 1
    assert done.output.strip() == (
        "Error: config-unknown: no setting 'optimiser.peek'. Did you mean 'optimiser.peak'."
    )


@pytest.mark.parametrize("what", ["zoo", "scorer", "locator"])
def test_every_kind_has_a_page(what: str) -> None:
    done = CliRunner().invoke(main, ["fit", what, "--help"])
    assert done.exit_code == 0
    assert "--out" in done.output
