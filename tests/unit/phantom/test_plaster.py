"""A cast hides, and changes nothing else: neither grades nor the other hand nor other draws."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from ra_training.cli import main
from ra_training.phantom import generate, render_exposure, sample_grades


def test_a_cast_covers_the_wrist_and_leaves_the_fingers_and_the_grades() -> None:
    grades = sample_grades(4)
    bare = render_exposure(4, grades, hands="right", height=400)
    cast = render_exposure(4, grades, hands="right", height=400, casts=("right",))
    assert cast.hands[0].grades == bare.hands[0].grades
    assert np.array_equal(cast.hands[0].landmarks, bare.hands[0].landmarks)
    x, y = (round(float(v)) for v in bare.hands[0].landmarks[0])
    wrist = np.s_[y - 6 : y + 6, x - 40 : x + 40]
    assert cast.display()[wrist].mean() > bare.display()[wrist].mean() + 0.05
    tips = np.s_[: round(float(bare.hands[0].landmarks[:, 1].min())) + 30]
    assert np.abs(cast.display()[tips] - bare.display()[tips]).max() < 0.02  # scatter only


def test_the_other_hand_keeps_its_pixels() -> None:
    grades = sample_grades(5)
    bare = render_exposure(5, grades, height=400).display()
    cast = render_exposure(5, grades, height=400, casts=("right",)).display()
    far = np.s_[:, -bare.shape[1] // 5 :]
    assert np.abs(cast - bare).max() > 0.1
    assert np.array_equal(cast[far], bare[far])


def test_casts_of_a_cohort_are_told_and_change_no_label(tmp_path: Path) -> None:
    some = list(generate(12, 3, height=160, cast_fraction=0.5))
    none = list(generate(12, 3, height=160))
    assert [s.grades for s in some] == [s.grades for s in none]
    assert {s.cast for s in some} == {None, "left", "right"}
    assert all(
        (s.exposure.pixels != n.exposure.pixels).any() == (s.cast is not None)
        for s, n in zip(some, none, strict=True)
    )
    words = ["phantom", "--n", "12", "--seed", "3", "--out", str(tmp_path), "--size", "160",
             "--format", "png", "--cast-fraction", "0.5"]  # fmt: skip
    assert CliRunner().invoke(main, words).exit_code == 0
    with (tmp_path / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["cast"] for r in rows] == [s.cast or "" for s in some]
