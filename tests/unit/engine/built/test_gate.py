"""The numeric gate: every figure has its own limit, and nothing odd slips through."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.gate import TOLERANCES, Arrays, gate, measure
from ra_engine.spec import Precision

RNG = np.random.default_rng(3)
CAM = RNG.random((8, 6, 5)).astype(np.float32)
TRUTH: Arrays = {"score": np.linspace(0, 100, 8, dtype=np.float32), "cam": CAM}


def shifted(by: NDArray[np.float64] | float, cam: NDArray[np.float32] = CAM) -> Arrays:
    return {"score": (TRUTH["score"] + by).astype(np.float32), "cam": cam}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_equal_outputs_pass_in_every_precision(precision: str) -> None:
    report = measure(TRUTH, TRUTH, precision)  # type: ignore[arg-type]
    assert report.passed
    assert (report.worst, report.mean, report.images) == (0, 0, 8)
    assert report.cam == pytest.approx(1)


@pytest.mark.parametrize(("worst", "passed"), [(0.45, True), (0.55, False)])
def test_the_worst_image_decides(worst: float, passed: bool) -> None:
    by = np.zeros(8)
    by[3] = -worst
    assert measure(shifted(by), TRUTH, "bf16").passed is passed


@pytest.mark.parametrize(("mean", "passed"), [(0.09, True), (0.12, False)])
def test_a_drift_of_all_decides_too(mean: float, passed: bool) -> None:
    assert measure(shifted(mean), TRUTH, "fp16").passed is passed


def test_int8_may_depart_further_than_bf16() -> None:
    assert TOLERANCES["int8"].worst == 1.0
    assert TOLERANCES["int8"].mean == 0.3
    assert measure(shifted(0.25), TRUTH, "int8").passed
    assert not measure(shifted(0.25), TRUTH, "bf16").passed


def test_one_map_that_looks_elsewhere_fails() -> None:
    cam = CAM.copy()
    cam[5] = cam[5, ::-1]
    report = measure(shifted(0, cam), TRUTH, "bf16")
    assert not report.passed
    assert report.cam is not None
    assert report.cam < 0.9


def test_maps_without_evidence_or_contrast_are_not_compared() -> None:
    truth = {"score": TRUTH["score"], "cam": CAM * np.float32(1e-3)}
    cam = truth["cam"][:, ::-1]
    assert measure(shifted(0, cam), truth, "bf16", evidence=0.1).cam is None
    flat = {"score": TRUTH["score"], "cam": np.ones_like(CAM)}
    assert measure(shifted(0, cam), flat, "bf16", evidence=0.1).cam is None


def test_a_dead_map_where_there_is_evidence_fails() -> None:
    assert measure(shifted(0, np.zeros_like(CAM)), TRUTH, "bf16").cam == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_fail(value: float) -> None:
    by = np.zeros(8)
    by[0] = value
    assert not measure(shifted(by), TRUTH, "int8").passed


def test_missing_outputs_and_other_shapes_fail() -> None:
    assert not measure({"score": TRUTH["score"]}, TRUTH, "int8").passed
    assert not measure(shifted(0, CAM[:, :2]), TRUTH, "int8").passed


def test_a_graph_without_a_score_is_compared_as_a_share_of_its_largest_value() -> None:
    truth = {"heat": np.full((4, 3), 2.0, np.float32)}
    assert measure({"heat": truth["heat"] + np.float32(0.01)}, truth, "bf16").passed
    assert not measure({"heat": truth["heat"] + np.float32(0.1)}, truth, "bf16").passed


MEMBERS = np.stack([TRUTH["score"] + k for k in (-1, 0, 1)], axis=1).astype(np.float32)
LOGITS = np.linspace(-9, 9, 16, dtype=np.float32).reshape(8, 2)
WHOLE: Arrays = {**TRUTH, "members": MEMBERS, "class_logits": LOGITS}


def changed(**outputs: NDArray[np.float64] | NDArray[np.float32]) -> Arrays:
    return {**WHOLE, **{name: a.astype(np.float32) for name, a in outputs.items()}}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize(
    "change",
    [
        {"members": MEMBERS + 40},
        {"class_logits": LOGITS * -50},
        {"cam": CAM * 7 + 3},
        {"cam": CAM * 7},
        {"cam": CAM + 1},
    ],
    ids=["members", "logits", "map", "gain", "offset"],
)
def test_no_output_is_left_out_in_any_precision(
    precision: Precision, change: dict[str, NDArray[np.float32]]
) -> None:
    assert measure(WHOLE, WHOLE, precision, evidence=0.1).passed
    assert not measure(changed(**change), WHOLE, precision, evidence=0.1).passed


@pytest.mark.parametrize(("worst", "passed"), [(0.9, True), (1.1, False)])
def test_one_member_on_one_image_decides_by_the_limit_of_the_score(
    worst: float, passed: bool
) -> None:
    members = MEMBERS.copy()
    members[3, 1] += worst
    report = measure(changed(members=members), WHOLE, "int8")
    assert report.passed is passed
    assert report.members == pytest.approx(worst, abs=1e-4)


@pytest.mark.parametrize(("drift", "passed"), [(0.25, True), (0.35, False)])
def test_a_member_that_drifts_is_not_averaged_away(drift: float, passed: bool) -> None:
    members = MEMBERS.copy()
    members[:, 2] += drift
    report = measure(changed(members=members), WHOLE, "int8")
    assert report.passed is passed
    assert report.members_mean == pytest.approx(drift, abs=1e-4)


@pytest.mark.parametrize(("by", "passed"), [(0.09, True), (0.11, False)])
def test_a_logit_counts_where_its_probability_is_saturated_too(by: float, passed: bool) -> None:
    """Those of two hands are summed: what is certain of one hand is not of both."""
    logits = LOGITS.copy()
    logits[7, 1] += by
    assert measure(changed(class_logits=logits), WHOLE, "bf16").passed is passed


def test_a_share_of_the_limits_is_a_share_of_every_one() -> None:
    for found in (
        changed(score=WHOLE["score"] + np.eye(8)[2] * 0.9),
        changed(score=WHOLE["score"] + 0.28),
        changed(members=MEMBERS + np.eye(8)[2][:, None] * 0.9),
        changed(class_logits=LOGITS + 0.35),
        changed(cam=CAM * 1.18),
    ):
        assert measure(found, WHOLE, "int8", evidence=0.1).passed
        assert not measure(found, WHOLE, "int8", evidence=0.1, share=0.8).passed


def test_a_map_that_shows_nothing_may_not_come_to_show_something() -> None:
    quiet = {**WHOLE, "cam": CAM * np.float32(0.02)}
    loud = {**quiet, "cam": CAM * np.float32(0.2)}
    report = measure(loud, quiet, "int8", evidence=0.1)
    assert report.cam is None
    assert not report.passed


@pytest.mark.parametrize(("gain", "passed"), [(1.04, True), (1.06, False)])
def test_the_scale_of_a_map_has_its_own_limit(gain: float, passed: bool) -> None:
    report = measure(changed(cam=CAM * gain), WHOLE, "bf16", evidence=0.1)
    assert report.cam == pytest.approx(1)
    assert report.place == pytest.approx(gain - 1, abs=1e-3)
    assert report.passed is passed


def test_an_output_that_we_have_no_name_for_is_judged_beside_a_score() -> None:
    truth = {**WHOLE, "embedding": np.full((8, 4), 2.0, np.float32)}
    assert measure(truth, truth, "bf16").passed
    found = {**truth, "embedding": truth["embedding"] + np.float32(0.2)}
    assert not measure(found, truth, "bf16").passed


class Company:
    """A session that is off by ``off`` where images come in batches of ``size`` rows."""

    key, precision, device = "company", "bf16", "cpu"

    def __init__(self, off: float = 0.0, *, size: int = 0) -> None:
        self._off, self._size = off, size

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        off = self._off if len(array) == self._size else 0.0
        return {"score": (array.mean(axis=(1, 2, 3)) + np.float32(off)).astype(np.float32)}


@pytest.mark.parametrize("size", [1, 6])
def test_an_image_alone_and_all_together_are_both_judged(size: int) -> None:
    images = RNG.random((6, 1, 4, 3)).astype(np.float32)
    assert gate(Company(), Company(), images, "bf16").passed
    report = gate(Company(2.0, size=size), Company(), images, "bf16")
    assert report.worst == pytest.approx(2.0)
    assert not report.passed


def test_the_words_hold_every_figure_and_limit() -> None:
    words = measure({**WHOLE, "score": WHOLE["score"] + np.float32(0.25)}, WHOLE, "int8").words
    assert words == (
        "score within 0.250 <= 1, mean 0.250 <= 0.3, members within 0.000 <= 1, mean 0.000 <= 0.3, "
        "logits within 0.000 <= 0.4, map correlation 1.0000 >= 0.99, map within 0.000 <= 0.2 of "
        "its peak, 8 images"
    )
