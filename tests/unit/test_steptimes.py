"""Histograms of step times."""

from __future__ import annotations

import pytest

from ra_daemon import steptimes
from ra_daemon.steptimes import BOUNDS


def test_buckets_are_cumulative_and_end_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steptimes, "_steps", {})
    for seconds in (0.001, BOUNDS[0], 0.3, 1e9):
        steptimes.observe("score", seconds)
    held = steptimes.snapshot()["score"]
    found = dict(held.cumulative())
    assert found[str(BOUNDS[0])] == 2  # a bound belongs to its bucket
    assert found["0.25"] == 2
    assert found["0.5"] == 3
    assert found["60.0"] == 3
    assert found["+Inf"] == 4
    assert held.total == pytest.approx(1e9 + 0.301 + BOUNDS[0])


def test_what_raises_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steptimes, "_steps", {})
    with pytest.raises(ZeroDivisionError), steptimes.timed("record"):
        raise ZeroDivisionError
    assert steptimes.snapshot()["record"].counts[0] == 1
