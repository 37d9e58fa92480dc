"""A finished study becomes a bundle that the engine loads and that says what its networks say."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from click.testing import CliRunner  # noqa: E402

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from ra_engine.bundle import Bundle, load_bundle  # noqa: E402
from ra_engine.plan import plan  # noqa: E402
from ra_engine.spec import EngineSpec  # noqa: E402
from ra_engine.testing import sample_batch  # noqa: E402
from ra_engine.types import Category, Measurement  # noqa: E402
from ra_plugins.gradcam import GradCamScorer  # noqa: E402
from ra_plugins.severity import SeverityScorer  # noqa: E402
from ra_plugins.svdh import SvdhScorer  # noqa: E402
from ra_training.cli import main  # noqa: E402
from ra_training.data.prepared import Unit  # noqa: E402
from ra_training.errors import TrainingError  # noqa: E402
from ra_training.graphs import PARITY  # noqa: E402
from ra_training.study.cards import study_card  # noqa: E402
from ra_training.study.carried import carry  # noqa: E402
from ra_training.study.config import Study  # noqa: E402
from ra_training.study.export import export  # noqa: E402
from ra_training.study.plan import specs  # noqa: E402
from ra_training.study.results import collect  # noqa: E402
from ra_training.study.run import execute  # noqa: E402
from ra_training.study.sets import Sets, open_sets  # noqa: E402
from ra_training.study.stacks import stacked  # noqa: E402
from ra_training.zoo.augment import plain  # noqa: E402
from ra_training.zoo.export import OUTPUTS, Classes, Ensemble, Explained  # noqa: E402
from ra_training.zoo.member import load  # noqa: E402
from tests.support.paths import REPOSITORY  # noqa: E402
from tests.unit.training.study.fakes import study  # noqa: E402

pytestmark = pytest.mark.xdist_group("study-export")  # two studies are trained once for all

Finished = tuple[Study, Sets, Path]


def finished(root: Path, unit: Unit) -> Finished:
    """A study of one arm with two folds, every run trained."""
    torch.set_num_threads(1)
    made = study(
        root, unit, architectures=["resnet18"], seeds=[0], schemes=["scratch"],
        class_losses=["coral"],
    )  # fmt: skip
    sets = open_sets(made, root)
    for spec in specs(made):
        assert execute(spec, sets, root, data_digest=sets.digest())
    (root / "study.json").write_text(made.model_dump_json())
    return made, sets, root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(tmp_path_factory.mktemp("images"), "image")


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(tmp_path_factory.mktemp("hands"), "hand")


def said(bundle: Bundle, pixels: np.ndarray) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=2))
    return dict(session.run(plain(torch.from_numpy(np.array(pixels))).numpy()))


@pytest.fixture(scope="module")
def bundle(images: Finished, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """By the command."""
    root, out = images[2], tmp_path_factory.mktemp("bundles")
    command = ["export", "--study", str(root), "--out", str(out), "--version", "1.2.0"]
    done = CliRunner().invoke(main, [*command, "--name", "own"])
    assert done.exit_code == 0, done.output
    return load_bundle(out / "own")


def test_the_bundle_says_what_the_stack_said(images: Finished, bundle: Bundle) -> None:
    made, sets, root = images
    results = collect(made, sets, root)
    found = stacked(results)
    out = said(bundle, sets.test.pixels)
    stack = found.score["nnls"][0]
    assert out["score"] == pytest.approx(stack, abs=PARITY * np.abs(stack).max())
    (cell,) = results.class_cells
    temperature = carry(made, results, found, root).temperature
    want = cell.test_logits[0] / temperature
    assert out["class_logits"] == pytest.approx(want, abs=PARITY * np.abs(want).max())
    manifest = bundle.manifest
    assert (manifest.unit, manifest.intended_use, manifest.hands) == ("image", "research", {2})
    assert manifest.score is not None
    assert manifest.score.members == ("resnet18 scratch fold 1", "resnet18 scratch fold 2")
    assert manifest.severity is not None
    assert manifest.severity.edges_both == sets.edges
    card = (bundle.graph.parent / "card.md").read_text()
    assert "For research use, not a medical device" in card
    assert "phantom" not in card


def test_every_output_is_that_of_the_networks(images: Finished, bundle: Bundle) -> None:
    made, sets, root = images
    results = collect(made, sets, root)
    parts = carry(made, results, stacked(results), root)
    networks = Ensemble(
        [Explained(*load(f).in_units()) for f in parts.files], parts.weights,
        classes=[Classes(*load(f).in_units(), parts.temperature) for f in parts.classes],
    ).eval()  # fmt: skip
    with torch.inference_mode():
        values = networks(plain(torch.from_numpy(np.array(sets.test.pixels))))
    out = said(bundle, sets.test.pixels)
    assert list(out) == OUTPUTS
    for name, value in zip(OUTPUTS, values, strict=True):
        want = value.numpy()
        assert np.abs(out[name] - want).max() <= PARITY * np.abs(want).max(), name
        assert (want.min() < 0) or name != "cam", "HiResCAM is signed"
        assert np.ptp(want, 0).max() > 0.1, "networks that say one thing of all images"


def test_a_study_whose_images_are_others_is_refused(
    images: Finished, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, sets, root = images
    graph = bundle.graph  # exporting takes long; the same networks make the same graph
    monkeypatch.setattr(
        "ra_training.study.export.export_graph", lambda n, w, path, **_: shutil.copy(graph, path)
    )
    export(made, sets, root, tmp_path, name="own", version="1")
    other = replace(sets.calibrate, pixels=np.array(sets.calibrate.pixels)[::-1])
    with pytest.raises(TrainingError, match="the study's predictions") as caught:
        export(made, replace(sets, calibrate=other), root, tmp_path, name="own", version="1")
    assert caught.value.code == "export-differs"


def test_the_plugins_run_it(images: Finished, bundle: Bundle) -> None:
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=2))
    chosen = plan([SvdhScorer(), SeverityScorer(), GradCamScorer()], [(bundle, session)])
    two, one = chosen.run(sample_batch().images[:2])
    assert {f.kind for f in two if isinstance(f, Measurement)} == {"svdh_total", "svdh_member"}
    (band,) = [f for f in two if isinstance(f, Category)]
    assert len(band.probabilities) == len(images[1].edges) + 1
    assert not [f for f in one if isinstance(f, Measurement | Category)]


def test_hands_are_calibrated_alone_and_in_pairs(hands: Finished, tmp_path: Path) -> None:
    made, sets, root = hands
    made_by = export(made, sets, root, tmp_path, name="own", version="1", cam="layercam")
    bundle = load_bundle(made_by)
    assert said(bundle, sets.test.pixels[:8])["cam"].min() >= 0, "no gradient below nothing"
    manifest = bundle.manifest
    assert (manifest.unit, manifest.hands) == ("hand", {1, 2})
    assert manifest.score is not None
    assert manifest.score.hand is not None
    assert manifest.score.both is not None
    assert (manifest.score.hand.n, manifest.score.both.n) == (80, 40)
    assert manifest.score.both.reference.startswith("calibration set of study ")
    assert manifest.severity is not None
    assert manifest.severity.edges_both == tuple(2 * e for e in manifest.severity.edges_hand)
    assert len(manifest.severity.a) == len(sets.edges)


def test_hands_without_pairs_are_refused(hands: Finished, tmp_path: Path) -> None:
    made, sets, root = hands
    left = replace(sets.calibrate.samples[0], hands="left")
    alone = replace(sets.calibrate, samples=(left, *(
        replace(s, patient_id=f"p{i}") for i, s in enumerate(sets.calibrate.samples[1:])
    )))  # fmt: skip
    with pytest.raises(TrainingError) as caught:
        export(made, replace(sets, calibrate=alone), root, tmp_path, name="own", version="1")
    assert caught.value.code == "calibration-small"
    assert "both hands of a visit" in str(caught.value)


def test_weights_of_generated_images_are_demonstrations_only(
    images: Finished, tmp_path: Path
) -> None:
    made, sets, root = images
    data = made.data.model_copy(update={"kind": "phantom"})
    phantom = made.model_copy(update={"data": data})
    with pytest.raises(TrainingError) as caught:
        export(phantom, sets, root, tmp_path, name="own", version="1", intended_use="research")
    assert caught.value.code == "use-unfit"
    card = study_card(
        phantom, sets, name="own", version="1", use="demonstration", data="generated radiographs",
        figures={}, members=[("one", 1.0)], classes="",
    )  # fmt: skip
    assert "Demonstration only, not for clinical use" in card
    assert "phantom figure" in card


def test_the_command_chooses_the_heatmap(
    images: Finished, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def exported(_members: object, _weights: object, path: Path, *, cam: str, **_: object) -> None:
        asked.append(cam)
        shutil.copy(bundle.graph, path)

    monkeypatch.setattr("ra_training.study.export.export_graph", exported)
    command = ["export", "--study", str(images[2]), "--out", str(tmp_path), "--version", "1"]
    done = CliRunner().invoke(main, [*command, "--cam", "layercam"])
    assert done.exit_code == 0, done.output
    assert asked == ["layercam"]
    assert "The heatmap is LayerCAM" in (tmp_path / "study" / "card.md").read_text()


def test_the_command_wants_one_source_and_a_finished_study(tmp_path: Path) -> None:
    command = ["export", "--out", str(tmp_path), "--version", "1"]
    neither = CliRunner().invoke(main, command)
    assert neither.exit_code == 2
    assert "either --recipe or --study" in neither.output
    recipe = ["--recipe", str(REPOSITORY / "training" / "recipes" / "demo.toml")]
    own = CliRunner().invoke(main, [*command, *recipe, "--cam", "layercam"])
    assert own.exit_code == 2
    assert "--cam is of a study" in own.output
    empty = CliRunner().invoke(main, [*command, "--study", str(tmp_path)])
    assert empty.exit_code == 1
    assert "study-unreadable" in empty.output
