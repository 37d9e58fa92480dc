"""Maps of a member: units, methods, and the methods of pytorch-grad-cam beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from click.testing import CliRunner  # noqa: E402

from ra_training.cli import main  # noqa: E402
from ra_training.study.heatmaps import compare_library, compare_methods, maps_of  # noqa: E402
from ra_training.study.scenes import Scenes  # noqa: E402
from ra_training.zoo.config import resolve  # noqa: E402
from ra_training.zoo.member import Member, load  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("member") / "member.safetensors"
    Member(resolve({"architecture": "resnet18", "target_scale": 20.0})).save(path)
    return path


def _scenes(n: int = 2) -> Scenes:
    draw = np.random.default_rng(1)
    masks = np.zeros((n, 64, 96), bool)
    masks[:, 20:40, 30:50] = True
    return Scenes(
        pixels=draw.integers(0, 255, (n, 64, 96)).astype(np.uint8), masks=masks,
        totals=np.full(n, 9.0),
    )  # fmt: skip


def test_maps_are_in_score_units(weights: Path, tmp_path: Path) -> None:
    """Scores and maps of the same network grow with ``target_scale``."""
    pixels = _scenes().pixels
    twenty = maps_of(weights, pixels)
    one = Member(resolve({"architecture": "resnet18", "target_scale": 1.0}))
    one.load_state_dict(load(weights).state_dict())
    one.save(tmp_path / "member.safetensors")
    single = maps_of(tmp_path / "member.safetensors", pixels)
    assert twenty.maps.shape == pixels.shape
    np.testing.assert_allclose(twenty.maps, 20 * single.maps, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(twenty.scores, 20 * single.scores, rtol=1e-4)


def test_all_methods_are_measured(weights: Path) -> None:
    found = compare_methods(weights, _scenes())
    assert set(found) == {"gradcam", "hirescam", "layercam"}
    assert found["gradcam"].energy == pytest.approx(found["hirescam"].energy, rel=1e-4, nan_ok=True)


def test_the_librarys_layercam_is_ours(weights: Path) -> None:
    pytest.importorskip("pytorch_grad_cam", reason="install ra-daemon[train]")
    shown = _scenes()
    theirs = compare_library(weights, shown, ("LayerCAM",))["LayerCAM"]
    own = compare_methods(weights, shown)["layercam"]
    # the library normalises to [0, 1] after its ReLU; shares and hits do not depend on scale
    assert theirs.hits == own.hits
    assert theirs.energy == pytest.approx(own.energy, abs=0.03)


def test_explain_takes_a_member(weights: Path) -> None:
    done = CliRunner().invoke(
        main, ["explain", str(weights), "--n", "2", "--size", "64", "80"]
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)["maps"]) == {"gradcam", "hirescam", "layercam"}
