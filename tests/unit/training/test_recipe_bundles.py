"""The commands behind the shipped bundles, one after the other, on a recipe of a few images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("onnxscript", reason="install ra-daemon[train]")

from click.testing import CliRunner  # noqa: E402

from ra_engine.bundle import load_bundle  # noqa: E402
from ra_training.cli import main  # noqa: E402
from ra_training.cohorts import Cohort, run  # noqa: E402
from ra_training.phantom import PHANTOM_VERSION  # noqa: E402
from ra_training.phantom.grades import Prior  # noqa: E402
from tests.support.paths import REPOSITORY  # noqa: E402

SHIPPED = REPOSITORY / "plugins" / "ra_plugins" / "bundles"
TOY = """
[scorer]
subjects = 8
seed = 1
priors = ["clinic", "flat"]
members = ["plain", "residual"]
steps = { plain = 4, residual = 4 }
batch = 2
peak = 1e-3
weights_seed = 7
stack_subjects = 8
stack_seed = 2
[locator]
scenes = 8
seed = 3
steps = 4
batch = 2
peak = 1e-3
weights_seed = 3
held_scenes = 16
held_seed = 4
[calibrate]
images = 12
seed = 5
prior = "flat"
[evaluate]
images = 12
seed = 6
prior = "flat"
baseline_train = 25
baseline_seed = 7
baseline_epochs = 1
baseline_weights = [0]
"""


class Alone:
    """A pool of this process, which has no start to wait for."""

    def __init__(self, _processes: int) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, work: Callable[[Any], Any], jobs: Iterable[Any], **_: int) -> list[Any]:
        return [work(job) for job in jobs]


def found(_locator: Path, graph: Path, n: int, seed: int, prior: Prior) -> Cohort:
    """Hands as the shipped locator finds them: one of four steps finds none."""
    return run(SHIPPED / "locator" / "graph.onnx", graph, n, seed, prior)


def test_a_recipe_becomes_both_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("scorer.crops", "locator.scenes", "cohorts"):
        context = SimpleNamespace(Pool=Alone)
        monkeypatch.setattr(f"ra_training.{module}.get_context", lambda _, c=context: c)
    monkeypatch.setattr("ra_training.figures.run", found)
    monkeypatch.setattr("ra_training.figures.DRAWS", 50)
    recipe, runs, out = tmp_path / "toy.toml", tmp_path / "runs", tmp_path / "bundles"
    recipe.write_text(TOY)
    given = ["--recipe", str(recipe), "--out"]
    train = [*given, str(runs), "--threads", "1"]
    for words in (
        ["fit", "scorer", *train],
        ["fit", "locator", *train],
        ["calibrate", *given, str(out), "--runs", str(runs)],
        ["evaluate", *given, str(out)],
        ["export", *given, str(out), "--version", "9.8.7"],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, (words[:2], done.output, done.exception)
    assert {p.name for p in runs.iterdir() if p.is_dir()} == {"plain-4", "residual-4", "locator-4"}
    demo, locator = load_bundle(out / "demo"), load_bundle(out / "locator")
    assert demo.manifest.score is not None
    assert demo.manifest.score.members == ("plain", "residual")
    assert demo.manifest.score.both is not None
    assert demo.manifest.score.both.n <= 12
    assert locator.manifest.locator is not None
    for bundle in (demo, locator):
        assert (bundle.manifest.version, bundle.manifest.intended_use) == ("9.8.7", "demonstration")
        card = (bundle.path / "card.md").read_text(encoding="utf-8")
        assert "Demonstration only, not for clinical use" in card
        assert PHANTOM_VERSION in card
    told = json.loads((out / "figures.json").read_text())
    assert told["asked"] == 12
    assert f"| images scored | {told['n']} of 12 |" in (demo.path / "card.md").read_text()
    assert demo.manifest.training.metrics["rmse"] == pytest.approx(told["rmse"], abs=1e-4)
