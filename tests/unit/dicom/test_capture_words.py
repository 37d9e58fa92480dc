"""The words above the heatmap: what the interval means, whole within the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ra_daemon.dicom import capture
from ra_daemon.domain import Scored
from ra_engine.types import Measurement, Radiograph
from tests.support import scored

RADIOGRAPH = Radiograph(pixels=np.full((300, 400), 100, np.uint16), window=(100.0, 200.0))
HEAD = 96  # rows above the image


def calibrated_on(cohort: str) -> Scored:
    result = scored.both_hands()
    found = [
        replace(f, interval=replace(f.interval, calibrated_on=cohort))
        if isinstance(f, Measurement) and f.interval is not None
        else f
        for f in result.findings
    ]
    return replace(result, findings=tuple(found))


def drawn(result: Scored) -> NDArray[np.uint8]:
    return capture.draw(RADIOGRAPH, result, demonstration=True)


def test_the_interval_names_its_calibration() -> None:
    told = capture.interval_line(calibrated_on("clinic cohort"))
    assert told == "20.0 to 40.0: 90 % prediction interval, calibrated on clinic cohort"
    ours, others = drawn(calibrated_on("clinic cohort")), drawn(calibrated_on("another cohort"))
    rows = np.flatnonzero((ours != others).any(axis=(1, 2)))
    assert len(rows)
    assert rows.max() < HEAD


def test_long_words_stay_inside_the_picture() -> None:
    for words in ("a cohort with a rather long name, " * 3, "one of many words " * 60):
        picture = drawn(calibrated_on(words))
        assert picture[24:40].any()
        assert not picture[:HEAD, -8:].any()


def test_a_result_without_an_interval_shows_none() -> None:
    result = scored.both_hands()
    bare = [replace(f, interval=None) if isinstance(f, Measurement) else f for f in result.findings]
    assert capture.interval_line(replace(result, findings=tuple(bare))) == ""
