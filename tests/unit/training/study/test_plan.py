"""Configuration, folds, runs and budget of a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ra_training.errors import TrainingError
from ra_training.study import config, plan, sets
from ra_training.study.folds import folds
from tests.support.paths import REPOSITORY
from tests.unit.training.study.fakes import study

RECIPES = REPOSITORY / "training" / "recipes"


NAMES = ("paper", "toy", "study-2core", "study-schemes")


@pytest.mark.parametrize("name", NAMES)
def test_recipes_ask_for_what_the_zoo_has(name: str) -> None:
    pytest.importorskip("torch", reason="install ra-daemon[train]")
    plan.check(config.load(RECIPES / f"{name}.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_studies(name: str) -> None:
    made = config.load(RECIPES / f"{name}.toml")
    assert made.label == "generated images (phantom)"
    seeds = [p.seed for p in (made.data.train, made.data.pretrain, made.data.calibrate,
                              made.data.test) if p is not None]  # fmt: skip
    assert len(set(seeds)) == 4
    keys = [s.key for s in plan.specs(made)]
    assert len(set(keys)) == len(keys)


def test_the_full_study_is_the_whole_zoo() -> None:
    made = config.load(RECIPES / "paper.toml")
    assert {"resnet18", "resnet34", "resnet50", "mobilenet_v2", "densenet121",
            "efficientnet_b0"} <= set(made.plan.architectures)  # fmt: skip
    assert made.data.test.n >= 1000


def test_the_small_study_stays_in_its_budget() -> None:
    made = config.load(RECIPES / "study-2core.toml")
    assert max(made.data.rows, made.data.columns) <= 320
    assert set(made.plan.architectures) == {"resnet18", "mobilenet_v2"}
    assert len(made.plan.seeds) == 3
    assert made.data.train.n <= 800
    assert made.data.test.n >= 1000
    assert made.data.pretrain is not None
    sizes = {"train": made.data.train.n, "pretrain": made.data.pretrain.n}
    told = plan.budget(made, RECIPES, sizes)
    assert told.hours <= 6.5


def test_folds_hold_patients_together_and_ignore_the_order() -> None:
    patients = [f"p{i // 3}" for i in range(60)]
    found = folds(patients, 4)
    assert all(len({f for f, p in zip(found, patients, strict=True) if p == q}) == 1
               for q in patients)  # fmt: skip
    order = np.random.default_rng(0).permutation(60)
    again = folds([patients[i] for i in order], 4)
    assert np.array_equal(again, found[order])
    counts = np.bincount(found)
    assert counts.max() - counts.min() <= 3


def test_every_fine_tuned_run_needs_its_seeds_pretraining(tmp_path: Path) -> None:
    every = plan.specs(study(tmp_path))
    assert len(every) == 2 * (1 + 2 * (2 + 2))
    keys = [s.key for s in every]
    for spec in every:
        if spec.stage != "pretrain" and spec.scheme != "scratch":
            assert spec.needs == f"pretrain/{spec.architecture}/seed{spec.seed}"
            assert keys.index(spec.needs) < keys.index(spec.key)
        else:
            assert spec.needs is None


def test_only_some_folds(tmp_path: Path) -> None:
    every = plan.specs(study(tmp_path, folds=5, run_folds=[3]))
    assert {s.fold for s in every if s.stage != "pretrain"} == {3}


def test_budget_falls_with_finished_runs_and_learns_their_rate(tmp_path: Path) -> None:
    made = study(tmp_path)
    sizes = {"train": 60, "pretrain": 40}
    before = plan.budget(made, tmp_path, sizes)
    assert before.left == before.runs == 18
    assert before.hours == pytest.approx(before.images / plan.GUESS / 3600)
    first = plan.specs(made)[1]
    folder = tmp_path / "runs" / first.key
    folder.mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps({"digest": "", "seconds": 60.0}))
    after = plan.budget(made, tmp_path, sizes)
    assert after.left == 17
    assert after.hours == pytest.approx(after.images / (30 / 60) / 3600)
    assert "17 left" in str(after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 1", "name"),
        ("nam", "study-unreadable"),
        ('name="x"', "data"),
        ('name="x"\n[data]\ntrain={n=3}\ncalibrate={n=9}\ntest={n=9}', "train"),
    ],
)
def test_a_wrong_study_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(TrainingError) as refused:
        config.load(path)
    assert words in f"{refused.value.code} {refused.value}"


def test_edges_may_be_given(tmp_path: Path) -> None:
    made = study(tmp_path, edges=[0.0, 10.0, 40.0])
    found = sets.open_sets(made, tmp_path)
    assert found.edges == (0.0, 10.0, 40.0)
    assert len(found.values) == 4
    assert found.values[0] == 0
    with pytest.raises(ValueError, match="ascending"):
        study(tmp_path, edges=[10.0, 0.0])


def test_unknown_losses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of"):
        study(tmp_path, class_losses=["hinge"])


def test_choosing_weights_by_the_fold_held_out_is_refused(tmp_path: Path) -> None:
    table = study(tmp_path).model_dump()
    with pytest.raises(ValueError, match="stacking reads"):
        config.Study.model_validate({**table, "train": {"keep": "best"}})


def test_a_patient_in_two_sets_is_refused(tmp_path: Path) -> None:
    made = study(tmp_path)
    same = made.model_copy(update={"data": made.data.model_copy(update={
        "test": made.data.train})})  # fmt: skip
    with pytest.raises(TrainingError) as refused:
        sets.open_sets(same, tmp_path)
    assert refused.value.code == "patients-overlap"
