"""The commands on the shipped bundles and on real wrists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ra_engine.prepare import Preprocessing
from ra_training.cli import main
from ra_training.study.bundles import explained
from ra_training.study.scenes import scenes
from tests.support.paths import REPOSITORY

BUNDLES = REPOSITORY / "plugins" / "ra_plugins" / "bundles"
WRISTS = REPOSITORY.parent / "shared" / "data" / "ram_w600_wrist"


def test_masks_lie_where_the_prepared_image_shows_the_joint() -> None:
    for kind, rows, columns in (("letterbox", 120, 160), ("hand_view", 160, 120)):
        spec = Preprocessing(kind=kind, rows=rows, columns=columns)  # type: ignore[arg-type]
        shown = scenes(2, 7, spec, prior="flat", height=240)
        assert shown.masks.shape == shown.pixels.shape
        damaged = shown.totals > 0
        assert np.array_equal(shown.masks.any((1, 2)), damaged)
        inside = [p[m].mean() for p, m in zip(shown.pixels, shown.masks, strict=True) if m.any()]
        outside = [p[~m].mean() for p, m in zip(shown.pixels, shown.masks, strict=True) if m.any()]
        assert np.mean(inside) > 1.3 * np.mean(outside)  # joints are bone, bone is bright


def test_the_shipped_heatmap_lies_on_damage_more_than_by_chance() -> None:
    found = explained(BUNDLES / "demo", 6, 990_001)
    assert found.n >= 6
    assert found.gain > 1.5


def test_explain_prints_its_figures() -> None:
    done = CliRunner().invoke(main, ["explain", str(BUNDLES / "demo"), "--n", "3"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["images"] == "generated"
    assert 0 <= told["maps"]["graph"]["energy"] <= 1


@pytest.mark.nightly
def test_the_shipped_bundle_keeps_the_bar() -> None:
    done = CliRunner().invoke(main, ["robustness", "--bundles", str(BUNDLES), "--n", "200"])
    assert done.exit_code == 0, done.output
    changes = json.loads(done.stdout)["changes"]
    assert {c["change"]: c["within"] for c in changes if not c["holds"]} == {}


def test_robustness_prints_every_change_and_the_distance(tmp_path: Path) -> None:
    real = WRISTS if WRISTS.is_dir() else None
    extra = ["--real", str(real)] if real else []
    done = CliRunner().invoke(
        main, ["robustness", "--bundles", str(BUNDLES), "--n", "3", "--processes", "1", *extra]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [c["change"] for c in told["changes"]] == [
        "rotation", "exposure", "monochrome1", "jpeg", "jpeg 2000", "pixel size",
    ]  # fmt: skip
    assert all(c["n"] == 3 for c in told["changes"])
    if real is None:
        pytest.skip("no real wrists at hand: the distance was not measured")
    own = told["distance"][WRISTS.name]
    assert own["real_to_generated_wrists"] > own["generated_wrists_to_themselves"]
