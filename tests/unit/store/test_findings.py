"""Findings survive the way through text and npz exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ra_daemon.store import findings
from ra_engine.types import Heatmap
from tests.support.verdicts import full, scored, total


def test_everything_comes_back() -> None:
    verdict = full()
    data = findings.dump_heatmaps(verdict)
    assert data is not None
    back = findings.load_scored(findings.dump_scored(verdict), findings.load_heatmaps(data))
    assert back.findings[:-1] == verdict.findings[:-1]
    heat = back.findings[-1]
    assert isinstance(heat, Heatmap)
    assert not heat.cam.flags.writeable
    assert heat.cam.dtype == np.float32
    for found, original in zip(back.views, verdict.views, strict=True):
        np.testing.assert_array_equal(found.landmarks, original.landmarks)
        assert found.to_image == original.to_image
        assert found.side is original.side
    assert (back.hands, back.laterality, dict(back.timings)) == (
        verdict.hands,
        verdict.laterality,
        dict(verdict.timings),
    )


def test_without_arrays_the_heatmaps_are_left_out() -> None:
    back = findings.load_scored(findings.dump_scored(full()))
    assert not any(isinstance(f, Heatmap) for f in back.findings)
    assert len(back.findings) == len(full().findings) - 1


def test_no_heatmaps_no_file() -> None:
    assert findings.dump_heatmaps(scored()) is None


def test_an_archive_of_objects_is_refused() -> None:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, cam0=np.array([{"x": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        findings.load_heatmaps(buffer.getvalue())


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
def test_numbers_are_exact(value: float) -> None:
    verdict = scored(total(value, half=0.1))
    assert findings.load_scored(findings.dump_scored(verdict)).findings == verdict.findings
