"""Sets from the generator are named by what they are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ra_training.data.generated import Recipe, generated
from ra_training.errors import TrainingError

HAND = Recipe(n=3, seed=4, rows=64, columns=48, height=200)


def test_hands_come_in_pairs_with_their_grades(tmp_path: Path) -> None:
    made = generated(HAND, tmp_path, processes=1)
    assert made.pixels.shape == (6, 64, 48)
    assert [s.hands for s in made.samples[:2]] == ["right", "left"]
    for s in made.samples:
        assert s.score == sum(s.joints.values())
        assert len(s.joints) == 31
    assert len({s.patient_id for s in made.samples}) == 3


def test_images_have_the_sum_of_both_hands(tmp_path: Path) -> None:
    hands = generated(HAND, tmp_path, processes=1)
    images = generated(replace(HAND, unit="image"), tmp_path, processes=1)
    totals = np.array([s.score for s in hands.samples]).reshape(3, 2).sum(1)
    assert np.array_equal(images.targets("score"), totals.astype(np.float32))


def test_children_have_months_and_sex(tmp_path: Path) -> None:
    made = generated(replace(HAND, label="months", n=6), tmp_path, processes=1)
    months = made.targets("months")
    assert ((months >= 12) & (months <= 216)).all()
    assert {s.sex for s in made.samples} <= {"F", "M"}
    with pytest.raises(TrainingError, match="no score"):
        made.targets("score")


def test_processes_change_nothing_and_the_cache_is_used(tmp_path: Path) -> None:
    one = generated(HAND, tmp_path / "one", processes=1)
    two = generated(HAND, tmp_path / "two", processes=2)
    assert np.array_equal(one.pixels, two.pixels)
    kept = tmp_path / "one" / HAND.name / "pixels.npy"
    before = kept.stat().st_mtime_ns
    generated(HAND, tmp_path / "one", processes=1)
    assert kept.stat().st_mtime_ns == before
    assert replace(HAND, seed=5).name != HAND.name
