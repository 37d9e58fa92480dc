"""check_scorer finds each way to break the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from ra_engine.contracts import Scorer
from ra_engine.errors import ScorerError
from ra_engine.testing import check_scorer, sample_batch
from ra_engine.types import (
    Batch,
    Category,
    Finding,
    Heatmap,
    Interval,
    Measurement,
    ModelRef,
    Output,
    QualityFlag,
)  # fmt: skip

MODEL = ModelRef(
    bundle="b", version="1", digest="", engine="e", precision="fp32", preprocessing="",
    intended_use="research",
)  # fmt: skip
GOOD = Measurement(kind="k", label="l", value=2.0, units="1", code=("a", "b", "c"), model=MODEL)
BAND = Category(
    kind="k", label="l", index=1, edges=(0.0, 1.0), probabilities=(0.5, 0.25, 0.25),
    reference="r", code=("a", "b", "c"), model=MODEL,
)  # fmt: skip
MAP = Heatmap(
    cam=np.zeros((2, 2), np.float32), threshold=0, full_scale=1, score_kind="k", model=MODEL, view=0
)

Score = Callable[[Batch, Mapping[str, Output]], Sequence[Sequence[Finding]]]


class Made:
    """A scorer of one function."""

    name = "made"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {}

    def __init__(self, score: Score) -> None:
        self._score = score

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> Sequence[Sequence[Finding]]:
        return self._score(batch, outputs)


def each(finding: Finding) -> Score:
    """The same finding for every image."""
    return lambda batch, _: [[finding] for _ in batch.images]


@pytest.mark.parametrize("finding", [GOOD, BAND, MAP, QualityFlag(code="c", text="t")])
def test_every_kind_of_finding_passes(finding: Finding) -> None:
    check_scorer(Made(each(finding)))


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (replace(GOOD, value=float("inf")), "not finite"),
        (replace(GOOD, spread=float("nan")), "not finite"),
        (replace(GOOD, interval=Interval(low=3, high=4)), "does not hold its value"),
        (replace(GOOD, view=1), "the image has 1"),
        (replace(BAND, index=4), "band 4 of 3"),
        (replace(BAND, probabilities=(0.5, 0.5)), "not 3 numbers"),
        (replace(BAND, probabilities=(0.5, 0.5, 0.5)), "do not sum to 1"),
        (replace(MAP, cam=np.zeros((2, 2))), "float32"),
        (replace(MAP, cam=np.full((2, 2), np.nan, np.float32)), "float32"),
    ],
)
def test_a_bad_finding_is_told(finding: Finding, message: str) -> None:
    with pytest.raises(ScorerError, match=message) as caught:
        check_scorer(Made(each(finding)))
    assert caught.value.scorer == "made"


def changes(batch: Batch, _: Mapping[str, Output]) -> list[list[Finding]]:
    batch.images[0].radiograph.pixels[0, 0] += 1
    return [[GOOD] for _ in batch.images]


def random(batch: Batch, _: Mapping[str, Output]) -> list[list[Finding]]:
    return [[replace(GOOD, value=float(np.random.default_rng().random()))] for _ in batch.images]


def place(batch: Batch, _: Mapping[str, Output]) -> list[list[Finding]]:
    return [[replace(GOOD, value=float(i))] for i in range(len(batch.images))]


def company(batch: Batch, _: Mapping[str, Output]) -> list[list[Finding]]:
    mean = float(np.mean([i.radiograph.pixels.mean() for i in batch.images]))
    return [[replace(GOOD, value=mean)] for _ in batch.images]


def fails(batch: Batch, _: Mapping[str, Output]) -> list[list[Finding]]:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (changes, "changed arrays"),
        (random, "another answer to the same input"),
        (place, "order of the batch"),
        (company, "rest of the batch|order of the batch"),
        (fails, "raised KeyError"),
        (lambda batch, _: [], "must give 4 results"),
        (lambda batch, _: 3, "gave a int, not a sequence"),
        (lambda batch, _: ["x"] * 4, "gave a str"),
    ],
)
def test_a_broken_promise_is_told(score: Score, message: str) -> None:
    with pytest.raises(ScorerError, match=message):
        check_scorer(Made(score))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", "Has Blanks", "needs a name"),
        ("api_version", 2, "is for API 2; this is 1"),
        ("needs", {"svdh": "score"}, "list of outputs"),
        ("needs", ["svdh"], "list of outputs"),
        ("needs", {"svdh": ["score"]}, "needs score of 'svdh': pass them"),
    ],
)
def test_a_bad_declaration_is_told(
    attribute: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Made(each(GOOD))
    monkeypatch.setattr(scorer, attribute, value, raising=False)
    with pytest.raises(ScorerError, match=message):
        check_scorer(scorer)


def test_no_scorer_at_all_is_told() -> None:
    thing: object = object()
    with pytest.raises(ScorerError, match="object lacks name"):
        check_scorer(thing)  # type: ignore[arg-type]


def test_the_sample_covers_what_scorers_meet() -> None:
    batch = sample_batch()
    assert [len(i.views) for i in batch.images] == [2, 1, 2, 1]
    assert any(i.radiograph.inverted and i.radiograph.mask is not None for i in batch.images)
    assert isinstance(Made(each(GOOD)), Scorer)
