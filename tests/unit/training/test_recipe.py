"""The recipe of the shipped bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_training import recipe
from ra_training.phantom import subject_seed
from tests.support.paths import REPOSITORY

RECIPE = REPOSITORY / "training" / "recipes" / "demo.toml"


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
