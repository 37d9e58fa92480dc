"""Figures of agreement against values worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_training import evaluate, recipe
from ra_training.phantom import subject_seed
from tests.support.paths import REPOSITORY

RECIPE = REPOSITORY / "training" / "recipes" / "demo.toml"


def test_agreement() -> None:
    truth = np.array([0.0, 5.0, 20.0, 100.0])
    assert evaluate.pcc(truth * 2 + 1, truth) == pytest.approx(1)
    assert evaluate.rmse(truth + 3, truth) == pytest.approx(3)


def test_quadratic_kappa() -> None:
    a = np.array([1, 1, 2, 3])
    assert evaluate.quadratic_kappa(a, a, 3) == pytest.approx(1)
    # Swapped classes 1 and 2 of two cases each disagree as much as they can.
    assert evaluate.quadratic_kappa(np.array([1, 2]), np.array([2, 1]), 2) == pytest.approx(-1)


def test_every_case_is_in_one_score_band() -> None:
    truth = np.array([0.0, 1.0, 10.0, 11.0, 50.0, 51.0, 280.0])
    rows = evaluate.by_score_band(truth + 2, truth)
    assert [n for n, _, _ in rows.values()] == [1, 2, 2, 2]
    assert all(mae == bias == 2 for _, mae, bias in rows.values())


def test_recipe_shares_no_subject_between_its_purposes() -> None:
    tables = recipe.load(RECIPE)
    sizes = [
        (tables["scorer"]["seed"], tables["scorer"]["subjects"]),
        (tables["scorer"]["stack_seed"], tables["scorer"]["stack_subjects"]),
        (tables["locator"]["seed"], tables["locator"]["scenes"]),
        (tables["locator"]["held_seed"], tables["locator"]["held_scenes"]),
        (tables["calibrate"]["seed"], tables["calibrate"]["images"]),
        (tables["evaluate"]["seed"], tables["evaluate"]["images"]),
        (tables["evaluate"]["baseline_seed"], tables["evaluate"]["baseline_train"]),
    ]
    subjects = [subject_seed(seed, i) for seed, n in sizes for i in range(n)]
    assert len(set(subjects)) == len(subjects)


def test_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recipe.load(tmp_path / "none.toml")
