"""The whole command on small images: it resumes, refuses another configuration, reports."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("matplotlib", reason="install ra-daemon[study]")

from click.testing import CliRunner  # noqa: E402

from ra_training.cli import main  # noqa: E402
from ra_training.errors import TrainingError  # noqa: E402
from ra_training.study.config import Study, load  # noqa: E402
from ra_training.study.plan import check, specs  # noqa: E402
from ra_training.study.run import execute  # noqa: E402
from ra_training.study.sets import Sets, open_sets  # noqa: E402
from ra_training.zoo.journal import read  # noqa: E402
from tests.support.paths import REPOSITORY  # noqa: E402
from tests.unit.training.study.fakes import study  # noqa: E402

pytestmark = pytest.mark.xdist_group("study-reproduce")  # one study is trained once for all

TOY = """
name = "Toy"
bootstrap = 20
data = { rows = 64, columns = 80, height = 160, train = { n = 24, seed = 1 }, \
pretrain = { n = 16, seed = 2 }, calibrate = { n = 40, seed = 3 }, test = { n = 24, seed = 4 } }
plan = { architectures = ["mobilenet_v2"], schemes = ["scratch", "finetuned"], \
class_losses = ["coral"], classes = 3, folds = 2, seeds = [0] }
train = { epochs = 1, batch = 4, amp = false, validate_every = 0, log_every = 1 }
pretrain = { epochs = 1, batch = 4, amp = false, validate_every = 0, log_every = 1 }
"""


@dataclass(frozen=True, kw_only=True)
class Toy:
    """What ``ra-train reproduce`` said and left: when its time was up, and at the end."""

    root: Path
    study: Study
    early: str
    early_files: frozenset[str]

    @property
    def sets(self) -> Sets:
        return open_sets(self.study, self.root / "cache", processes=1)


def reproduce(recipe: Path, out: Path, *more: str) -> str:
    """The command's words, from one process and thread."""
    told = ["reproduce", str(recipe), "--out", str(out), "--threads", "1", *more]
    done = CliRunner().invoke(main, told)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A study of generated images by the command, cut off in its first run, then finished."""
    folder = tmp_path_factory.mktemp("toy")
    recipe, root = folder / "toy.toml", folder / "out"
    recipe.write_text(TOY)
    with pytest.MonkeyPatch.context() as patched:
        # a clock whose second look leaves a wink of the six seconds for the first run
        looks = iter([0.0, 5.9999])
        clock = SimpleNamespace(monotonic=lambda: next(looks, 5.9999))
        patched.setattr("ra_training.commands.reproduce.time", clock)
        early = reproduce(recipe, root, "--minutes", "0.1")
        left = frozenset(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ra_training.study.outcome.EXPLAINED", 6)
        reproduce(recipe, root)
    return Toy(root=root, study=load(recipe), early=early, early_files=left)


def test_a_study_that_was_cut_off_goes_on(toy: Toy) -> None:
    first = specs(toy.study)[0]
    assert "Time is up. Left: 7 runs, 7 left" in toy.early
    assert f"runs/{first.key}/checkpoint.safetensors" in toy.early_files
    assert not [f for f in toy.early_files if f.endswith(("report.html", "done.json"))]
    steps = [r["step"] for r in read(toy.root / "runs" / first.key) if "loss" in r]
    assert steps == [1, 2, 3, 4]


def test_a_study_leaves_figures_tables_and_a_page(toy: Toy) -> None:
    drawn = {p.name for p in (toy.root / "figures").iterdir()}
    assert drawn == {
        "predicted-best.png", "predicted-stack.png", "confusion-0.png", "confusion-1.png",
        "learning-curves.png", "reliability.png", "heatmaps.png",
    }  # fmt: skip
    page = (toy.root / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(drawn)
    assert "<b>Generated images (phantom).</b>" in page
    found = json.loads((toy.root / "results.json").read_text())
    assert {h["verdict"] for h in found["hypotheses"]} <= {"holds", "fails", "undecided"}
    assert found["tables"].keys() == {p.stem for p in (toy.root / "tables").iterdir()}
    assert {"scores", "classes", "bands", "sites", "explanation"} <= found["tables"].keys()


def test_a_figure_that_the_paper_did_not_publish_is_a_blank_cell(toy: Toy) -> None:
    page = (toy.root / "report.html").read_text()
    table = page[page.index('<table id="scores">') :].partition("</table>")[0]
    head, *rows = (re.findall(r"<t[hd]>(.*?)</t[hd]>", r) for r in table.split("</tr>"))
    paper = next(dict(zip(head, r, strict=True)) for r in rows if r and r[0].startswith("Bo 2024"))
    assert (paper["pcc"], paper["rmse"], paper["mae"], paper["icc_a1"]) == (
        "0.925",
        "18.02",
        "",
        "",
    )
    ours = next(dict(zip(head, r, strict=True)) for r in rows if r and r[0].startswith("stack"))
    assert "" not in ours.values()


def test_a_finished_run_is_checked_and_left_as_it_is(toy: Toy) -> None:
    sets, stamps = toy.sets, {p: p.stat().st_mtime_ns for p in toy.root.rglob("*.npz")}
    for spec in specs(toy.study):
        assert execute(spec, sets, toy.root, data_digest=sets.digest())
    assert stamps == {p: p.stat().st_mtime_ns for p in toy.root.rglob("*.npz")}


def test_a_run_that_was_changed_or_has_other_data_is_refused(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.root / "runs", tmp_path / "runs")
    sets, first, last = toy.sets, specs(toy.study)[0], specs(toy.study)[-1]
    np.savez(tmp_path / "runs" / first.key / "predictions.npz", rows=np.arange(2))
    with (tmp_path / "runs" / last.key / "member.safetensors").open("ab") as stream:
        stream.write(b"x")
    for spec, digest, code in (
        (last, "other data", "run-other"),
        (first, sets.digest(), "run-damaged"),
        (last, sets.digest(), "run-damaged"),
    ):
        with pytest.raises(TrainingError) as refused:
            execute(spec, sets, tmp_path, data_digest=digest)
        assert refused.value.code == code


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


def test_the_budget_is_printed_before_anything_runs(tmp_path: Path) -> None:
    recipe = REPOSITORY / "training" / "recipes" / "study-2core.toml"
    done = CliRunner().invoke(main, ["reproduce", str(recipe), "--out", str(tmp_path), "--plan"])
    assert done.exit_code == 0, done.output
    assert "Budget:" in done.output
    assert "hours" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_the_toy_recipe(tmp_path: Path) -> None:
    recipe = REPOSITORY / "training" / "recipes" / "toy.toml"
    done = CliRunner().invoke(main, ["reproduce", str(recipe), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Generated images" in (tmp_path / "report.html").read_text()
