"""A missing finger raises no score, and changes nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ra_training.cli import main
from ra_training.phantom import generate, missing, render_exposure, sample_grades
from ra_training.phantom.grades import HEALTHY, SubjectGrades
from ra_training.phantom.sites import SITES

SOUND = SubjectGrades(right=HEALTHY, left=HEALTHY)


def test_the_phalanges_are_gone_and_the_rest_of_the_hand_is_there() -> None:
    whole = render_exposure(4, SOUND, hands="right", height=480)
    lacks = render_exposure(4, SOUND, hands="right", height=480, missing=("right", 2))
    assert np.array_equal(lacks.hands[0].landmarks, whole.hands[0].landmarks)
    apart = np.abs(lacks.display() - whole.display())
    middle, others = whole.hands[0].landmarks[11:13], whole.hands[0].landmarks[[7, 8, 15, 16]]
    for x, y in (middle[0] + middle[1]) / 2, middle[1]:
        assert apart[round(y), round(x)] > 0.2
    assert max(apart[round(y), round(x)] for x, y in others) < 0.05


def test_joints_that_are_not_there_have_no_grade() -> None:
    grades = sample_grades(11, prior="flat")
    left = missing.without(grades, ("left", 3))
    gone = {s for s in SITES if left.left.grade(s) != grades.left.grade(s)}
    assert gone <= missing.sites_of(3) == {"BE_MCP-R", "JSN_MCP-R", "BE_PIP-R", "JSN_PIP-R"}
    assert gone, "the seed has damage there"
    assert left.right == grades.right
    with pytest.raises(ValueError, match="has no grade"):
        render_exposure(11, grades, height=160, missing=("left", 3))


def test_missing_fingers_of_a_cohort_are_told_and_stay_missing(tmp_path: Path) -> None:
    words = {"visits": 2, "prior": "flat", "height": 160}
    some = list(generate(10, 3, missing_fraction=0.5, **words))  # type: ignore[arg-type]
    none = list(generate(10, 3, **words))  # type: ignore[arg-type]
    lacking = [s for s in some if s.missing]
    assert 0 < len(lacking) < len(some)
    assert all(a.missing == b.missing for a, b in zip(some[::2], some[1::2], strict=True))
    for with_it, before in zip(some, none, strict=True):
        same = np.array_equal(with_it.exposure.pixels, before.exposure.pixels)
        assert same == (with_it.missing is None)
        assert with_it.grades.total <= before.grades.total
    command = ["phantom", "--n", "10", "--seed", "3", "--visits", "2", "--prior", "flat",
               "--out", str(tmp_path), "--size", "160", "--format", "png",
               "--missing-fraction", "0.5"]  # fmt: skip
    assert CliRunner().invoke(main, command).exit_code == 0
    with (tmp_path / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["missing"] for r in rows] == [missing.name(s.missing) for s in some]
    assert [int(r["total"]) for r in rows] == [s.grades.total for s in some]
