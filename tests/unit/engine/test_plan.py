"""Each graph once a batch; results never depend on the batch; a bad scorer is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.contracts import Session
from ra_engine.errors import ScorerError
from ra_engine.plan import plan
from ra_engine.spec import EngineSpec
from ra_engine.testing import sample_batch
from ra_engine.types import Batch, Finding, Measurement, ModelRef, Output, QualityFlag
from ra_plugins.gradcam import GradCamScorer
from ra_plugins.severity import SeverityScorer
from ra_plugins.svdh import SvdhScorer
from tests.support.bundles import SCORE, score_bundle


class CountingSession:
    """A session that tells how often its graph ran."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.key, self.precision, self.device = inner.key, inner.precision, inner.device
        self.rows: list[int] = []

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.rows.append(len(array))
        return self._inner.run(array)


class Flagger:
    """Flags every image; what else it does is given."""

    name = "flagger"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {}

    def __init__(self, give: object = None) -> None:
        self._give = give

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> Sequence[Sequence[Finding]]:
        if isinstance(self._give, Exception):
            raise self._give
        if self._give is not None:
            return self._give  # type: ignore[return-value]
        return [[QualityFlag(code="seen", text=image.instance)] for image in batch.images]


@pytest.fixture
def model(tmp_path: Path) -> tuple[Bundle, CountingSession]:
    bundle = load_bundle(score_bundle(tmp_path / "small"))
    return bundle, CountingSession(OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1)))


def scorers() -> list[SvdhScorer | SeverityScorer | GradCamScorer]:
    return [SvdhScorer(), SeverityScorer(), GradCamScorer()]


def numbers(findings: Sequence[Finding]) -> list[tuple[str, float]]:
    return [(f.kind, f.value) for f in findings if isinstance(f, Measurement)]


def test_three_scorers_run_one_graph_once(model: tuple[Bundle, CountingSession]) -> None:
    batch = sample_batch()
    told: list[str] = []
    plan(scorers(), [model]).run(batch.images, on_scorer=told.append)
    assert model[1].rows == [len(batch.rows)]
    assert told == ["svdh", "severity", "gradcam"]


def test_a_result_is_the_same_alone_and_in_any_batch(model: tuple[Bundle, CountingSession]) -> None:
    images = sample_batch().images
    chosen = plan(scorers(), [model])
    together = chosen.run(images)
    for image, findings in zip(images, together, strict=True):
        assert numbers(chosen.run([image])[0]) == numbers(findings)
    backwards = chosen.run(images[::-1])[::-1]
    assert [numbers(f) for f in backwards] == [numbers(f) for f in together]


def test_outputs_cannot_be_written(model: tuple[Bundle, CountingSession]) -> None:
    outputs = plan(scorers(), [model]).outputs(sample_batch())
    with pytest.raises(ValueError, match="read-only"):
        outputs["svdh"].arrays["score"][0] = 1


def test_views_of_one_image_share_the_rows_of_an_image_model(tmp_path: Path) -> None:
    text = SCORE.replace('unit = "hand"', 'unit = "image"').replace("hand_view", "letterbox")
    bundle = load_bundle(score_bundle(tmp_path / "whole", manifest=text))
    session = CountingSession(OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1)))
    batch = sample_batch()
    score = plan([SvdhScorer()], [(bundle, session)]).outputs(batch)["svdh"].arrays["score"]
    assert session.rows == [len(batch.images)]
    assert len(score) == len(batch.rows)
    assert score[0] == score[1]  # the first image has two views
    assert score[0] != score[2]


def test_images_without_views_give_no_numbers(model: tuple[Bundle, CountingSession]) -> None:
    image = sample_batch().images[0]
    bare = type(image)(instance="bare", radiograph=image.radiograph, views=())
    assert plan(scorers(), [model]).run([bare]) == [[]]
    assert model[1].rows == []


def test_a_role_that_no_bundle_offers_is_an_error_before_any_image(
    model: tuple[Bundle, CountingSession],
) -> None:
    with pytest.raises(ScorerError, match="needs a model for 'svdh'") as caught:
        plan(scorers(), [])
    assert caught.value.scorer == "svdh"


def test_a_missing_output_is_named(tmp_path: Path) -> None:
    text = SCORE.replace('outputs = ["members", ', "outputs = [")
    bundle = load_bundle(score_bundle(tmp_path / "b", manifest=text))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    with pytest.raises(ScorerError, match="needs members of bundle small"):
        plan([SvdhScorer()], [(bundle, session)])


MODEL = ModelRef(
    bundle="b", version="1", digest="", engine="e", precision="fp32", preprocessing="",
    intended_use="research",
)  # fmt: skip
NAN = Measurement(
    kind="k", label="l", value=float("nan"), units="1", code=("a", "b", "c"), model=MODEL
)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (KeyError("DOE^JANE"), "raised KeyError"),
        ([[]], "gave 1 results for 4 images"),
        (7, "gave a int, not a sequence"),
        ([["text"], [], [], []], "which is no finding"),
        ([[NAN], [], [], []], "not finite"),
        ([[QualityFlag(code="c", text="t", view=2)], [], [], []], "view 2; the image has 2"),
    ],
)
def test_a_scorer_that_breaks_its_contract_is_named(give: object, message: str) -> None:
    with pytest.raises(ScorerError, match=message) as caught:
        plan([Flagger(give)], []).run(sample_batch().images)
    assert caught.value.scorer == "flagger"
    assert "DOE" not in str(caught.value)


def test_memory_errors_pass_through() -> None:
    with pytest.raises(MemoryError):
        plan([Flagger(MemoryError())], []).run(sample_batch().images)


def test_the_digest_names_scorers_and_models(model: tuple[Bundle, CountingSession]) -> None:
    whole = plan(scorers(), [model])
    assert whole.digest == plan(scorers(), [model]).digest
    assert whole.digest != plan(scorers()[:2], [model]).digest
    assert whole.digest != plan([*scorers(), Flagger()], [model]).digest
