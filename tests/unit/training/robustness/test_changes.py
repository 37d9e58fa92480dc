"""Changes that leave the damage alone, the bar, and distances of features."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph
from ra_training.errors import TrainingError
from ra_training.phantom import render_exposure, sample_grades
from ra_training.robustness.changes import CHANGES
from ra_training.robustness.distance import beside_itself, frechet, generated, like, real_images
from ra_training.robustness.measure import exposed, judge

SPEC = Preprocessing(kind="letterbox", rows=128, columns=160)


def _shot(seed: int = 3) -> Radiograph:
    exposure = render_exposure(seed, sample_grades(seed), hands="both", height=300)
    return Radiograph(
        pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1",
        spacing_mm=(exposure.spacing_mm, exposure.spacing_mm),
    )  # fmt: skip


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_keeps_an_image_of_the_kind(name: str) -> None:
    shot = _shot()
    changed = CHANGES[name](shot, np.random.default_rng(1))
    assert changed.pixels.dtype == np.uint16
    assert changed.inverted == (shot.inverted != (name == "monochrome1"))
    again = CHANGES[name](shot, np.random.default_rng(1))
    assert np.array_equal(changed.pixels, again.pixels)
    assert changed.pixels.shape != shot.pixels.shape or (changed.pixels != shot.pixels).any()


@pytest.mark.parametrize("name", ["monochrome1", "jpeg", "jpeg 2000"])
def test_prepared_images_stay_alike(name: str) -> None:
    shot = _shot()
    changed = CHANGES[name](shot, np.random.default_rng(2))
    before, after = (prepare_image(s, SPEC)[0] * SPEC.std for s in (shot, changed))
    assert np.abs(before - after).mean() < 0.02


def test_other_pixels_are_the_same_exposure_with_detail_of_its_own() -> None:
    coarse, spacing = exposed(3, "clinic", 300)
    fine, finer = exposed(3, "clinic", 600)
    assert finer == pytest.approx(spacing / 2, rel=0.01)
    before, after = (prepare_image(s, SPEC)[0] * SPEC.std for s in (coarse, fine))
    assert np.abs(before - after).mean() < 0.02
    enlarged = cv2.resize(coarse.pixels, fine.pixels.shape[::-1], interpolation=cv2.INTER_LINEAR)
    edges = [cv2.Laplacian(p.astype(np.float64), -1).std() for p in (fine.pixels, enlarged)]
    assert edges[0] > 1.2 * edges[1]


def test_generated_images_are_shown_as_coarse_as_the_real_ones() -> None:
    shots = generated(2, 5)
    assert sorted(shots) == ["children", "hands", "wrists"]
    tiny = Radiograph(pixels=np.zeros((64, 64), np.uint16))
    for shot in (s for made in shots.values() for s in made):
        assert max(like(shot, tiny).pixels.shape) == 64
    large = Radiograph(pixels=np.zeros((900, 900), np.uint16))
    assert like(shots["hands"][0], large) is shots["hands"][0]


def test_the_bar_counts_lost_images_as_moved() -> None:
    before = np.array([10.0, 20, 30, 40, np.nan])
    after = np.array([11.0, 26, np.nan, 40, 50])
    found = judge("x", before, after, np.full(5, 10.0))
    assert (found.n, found.lost) == (4, 1)
    assert found.within == 0.5
    assert not found.holds
    assert found.moved[0] == 1.0
    assert found.half == (5.0, 5.0)


def test_the_bar_is_met_by_scores_that_stay() -> None:
    before = np.arange(100.0)
    assert judge("x", before, before + 0.5, np.full(100, 10.0)).holds


def test_nothing_scored_is_no_success() -> None:
    with pytest.raises(TrainingError) as refused:
        judge("x", np.full(3, np.nan), np.zeros(3), np.full(3, 10.0))
    assert refused.value.code == "nothing-scored"


def test_frechet_distance_of_gaussians() -> None:
    draw = np.random.default_rng(4)
    a = draw.normal(0, 1, (60000, 3))
    b = draw.normal([2, 0, 0], [1, 3, 1], (60000, 3))
    assert frechet(a, b) == pytest.approx(4 + 4, rel=0.03)  # mean 2^2, spread (3 - 1)^2
    assert frechet(a, a) == pytest.approx(0, abs=1e-4)


def test_a_set_is_near_itself() -> None:
    features = np.random.default_rng(5).normal(0, 1, (400, 4))
    assert beside_itself(features, 200) < 0.3 < frechet(features, features + 2)
    with pytest.raises(ValueError, match="two parts"):
        beside_itself(features, 201)


def test_real_images_are_read_by_name_and_their_lack_is_told(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((20, 30), 10 * i, np.uint8))
    assert [int(s.pixels.max()) for s in real_images(tmp_path)] == [0, 10, 20]
    with pytest.raises(TrainingError) as refused:
        real_images(tmp_path.parent / "none")
    assert refused.value.code == "no-real-images"
