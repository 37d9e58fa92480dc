"""The whole command on sixty small images: it resumes, refuses another configuration, reports."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("matplotlib", reason="install ra-daemon[study]")

from click.testing import CliRunner  # noqa: E402

from ra_training.errors import TrainingError  # noqa: E402
from ra_training.study.outcome import conclude  # noqa: E402
from ra_training.study.plan import check, done, specs  # noqa: E402
from ra_training.study.run import execute  # noqa: E402
from ra_training.study.sets import open_sets  # noqa: E402
from tests.support.paths import REPOSITORY  # noqa: E402
from tests.unit.training.study.fakes import study  # noqa: E402


def test_a_study_runs_resumes_and_reports(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    made = study(tmp_path, seeds=[0], class_losses=["cross_entropy", "corn"])
    sets = open_sets(made, tmp_path)
    every, digest = specs(made), sets.digest()
    first = every[0]
    assert not execute(first, sets, tmp_path, data_digest=digest, minutes=1e-9)
    assert done(tmp_path, first) is None
    for spec in every:
        assert execute(spec, sets, tmp_path, data_digest=digest)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("predictions.npz")}
    for spec in every:
        assert execute(spec, sets, tmp_path, data_digest=digest)
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("predictions.npz")}
    page = conclude(made, sets, tmp_path).read_text()
    assert "Real images" in page
    assert "arXiv 2406.09980" in page
    found = json.loads((tmp_path / "results.json").read_text())
    assert {h["verdict"] for h in found["hypotheses"]} <= {"holds", "fails", "undecided"}
    assert {"scores", "classes", "bands", "readers", "sites"} <= set(found["tables"])
    _refusals(made, sets, tmp_path, digest)


def test_another_pretraining_is_another_run(tmp_path: Path) -> None:
    made = study(tmp_path, seeds=[0], schemes=["finetuned"], class_losses=[], run_folds=[0])
    sets = open_sets(made, tmp_path)
    first, second = specs(made)
    for spec in (first, second):
        assert execute(spec, sets, tmp_path, data_digest="d")
    shutil.rmtree(tmp_path / "runs" / first.key)
    longer = replace(first, table={**first.table, "epochs": 2})
    assert execute(longer, sets, tmp_path, data_digest="d")
    with pytest.raises(TrainingError) as other:
        execute(second, sets, tmp_path, data_digest="d")
    assert other.value.code == "run-other"


def test_a_cut_off_run_goes_on_after_its_folder_has_moved(tmp_path: Path) -> None:
    made = study(tmp_path, seeds=[0], schemes=["finetuned"], class_losses=[], run_folds=[0])
    sets = open_sets(made, tmp_path)
    first, second = specs(made)
    (tmp_path / "a").mkdir()
    assert execute(first, sets, tmp_path / "a", data_digest="d")
    assert not execute(second, sets, tmp_path / "a", data_digest="d", minutes=1e-9)
    (tmp_path / "a").rename(tmp_path / "b")
    assert execute(second, sets, tmp_path / "b", data_digest="d")


def test_other_pixels_are_another_set(tmp_path: Path) -> None:
    made = study(tmp_path)
    sets = open_sets(made, tmp_path)
    pixels = np.array(sets.test.pixels)
    pixels[0, 0, 0] ^= 1
    assert replace(sets, test=replace(sets.test, pixels=pixels)).digest() != sets.digest()
    assert replace(sets, test=replace(sets.test, pixels=pixels.copy())).digest() != sets.digest()
    pixels[0, 0, 0] ^= 1
    assert replace(sets, test=replace(sets.test, pixels=pixels)).digest() == sets.digest()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"architectures": ["vgg99"]}, "config-invalid"),
        ({"schemes": ["RBs-9"]}, "unknown-scheme"),
        ({"schemes": ["nonsense"]}, "unknown-scheme"),
        ({"schemes": ["RBs-<k>"]}, "unknown-scheme"),
        ({"class_scheme": "RBs-0"}, "unknown-scheme"),
    ],
)
def test_a_mistake_shows_before_the_first_run(
    change: dict[str, list[str]], code: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError) as refused:
        check(study(tmp_path, **change))
    assert refused.value.code == code


def test_an_unknown_setting_of_the_runs_shows_before_the_first_run(tmp_path: Path) -> None:
    made = study(tmp_path)
    wrong = made.model_copy(update={"train": {**made.train, "epochz": 3}})
    with pytest.raises(TrainingError) as refused:
        check(wrong)
    assert refused.value.code == "config-unknown"


def _refusals(made: object, sets: object, root: Path, digest: str) -> None:
    first = specs(made)[0]  # type: ignore[arg-type]
    with pytest.raises(TrainingError) as other:
        execute(first, sets, root, data_digest="other data")  # type: ignore[arg-type]
    assert other.value.code == "run-other"
    np.savez(root / "runs" / first.key / "predictions.npz", rows=np.arange(2))
    with pytest.raises(TrainingError) as damaged:
        execute(first, sets, root, data_digest=digest)  # type: ignore[arg-type]
    assert damaged.value.code == "run-damaged"
    last = specs(made)[-1]  # type: ignore[arg-type]
    with (root / "runs" / last.key / "member.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(TrainingError) as changed:
        execute(last, sets, root, data_digest=digest)  # type: ignore[arg-type]
    assert changed.value.code == "run-damaged"


def test_the_budget_is_printed_before_anything_runs(tmp_path: Path) -> None:
    from ra_training.cli import main

    recipe = REPOSITORY / "training" / "recipes" / "study-2core.toml"
    done = CliRunner().invoke(main, ["reproduce", str(recipe), "--out", str(tmp_path), "--plan"])
    assert done.exit_code == 0, done.output
    assert "Budget:" in done.output
    assert "hours" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_the_toy_recipe(tmp_path: Path) -> None:
    from ra_training.cli import main

    recipe = REPOSITORY / "training" / "recipes" / "toy.toml"
    done = CliRunner().invoke(main, ["reproduce", str(recipe), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Generated images" in (tmp_path / "report.html").read_text()
