"""The numeric gate: every figure has its own limit, and nothing odd slips through."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.gate import TOLERANCES, Arrays, measure

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


def test_the_words_hold_every_figure_and_limit() -> None:
    words = measure(shifted(0.25), TRUTH, "int8").words
    assert words == (
        "score within 0.250 <= 1, mean 0.250 <= 0.3, map correlation 1.0000 >= 0.99, 8 images"
    )
