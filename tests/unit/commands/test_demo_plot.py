"""The demo's change since the first visit, and its plot: one rule, readable axes and labels."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ra_daemon.cohort.statistics import change_limits
from ra_daemon.commands.demo.change import Change, changes
from ra_daemon.commands.demo.modality import Sent
from ra_daemon.commands.demo.plot import change_plot, spread, ticks
from ra_daemon.commands.demo.reconcile import Line

FINITE = st.floats(-300, 300)


def line(subject: str, visit: int, score: float | None, half: float = 5.0) -> Line:
    sent = Sent(path=Path("x"), digest=f"{subject}{visit}", what="hand", subject=subject,
                visit=visit, truth=1.0)  # fmt: skip
    if score is None:
        return Line(sent=sent, reason_code="not_a_hand")
    return Line(sent=sent, score=score, low=score - half, high=score + 2 * half)


def test_limits_and_flag_are_those_of_a_cohort() -> None:
    lines = [line("1", 1, 20.0), line("1", 2, 23.0), line("1", 3, 60.0, half=8.0)]
    first, second, third = changes(lines)["1"]
    assert (first.value, first.low, first.below_detectable_change) == (0.0, None, False)
    assert (second.low, second.high) == change_limits(23, (18, 33), 20, (15, 30))
    assert (third.low, third.high) == change_limits(60, (52, 76), 20, (15, 30))
    assert third.low == pytest.approx(40 - math.hypot(8, 10)), "not the sum of the half-widths"
    assert (second.below_detectable_change, third.below_detectable_change) == (True, False)


def test_what_was_not_scored_has_no_change() -> None:
    found = changes([line("1", 1, None), line("1", 2, 9.0), line("1", 3, 19.0), line("", 0, 3.0)])
    assert [(c.visit, c.value) for c in found["1"]] == [(2, 0.0), (3, 10.0)]
    assert list(found) == ["1"]
    assert change_plot(changes([line("1", 1, None)])) == ""


def places(svg: str, kind: str) -> dict[str, float]:
    """Text -> y of the texts of a class."""
    found = re.findall(rf'<text class="{kind}"[^>]* y="([-\d.]+)"[^>]*>([^<]+)</text>', svg)
    return {text: float(y) for y, text in found}


def plot(*last: float) -> str:
    series = {}
    for number, value in enumerate(last, 1):
        end = Change(subject=str(number), visit=2, value=value, low=value - 3, high=value + 9)
        series[str(number)] = [Change(subject=str(number), visit=1, value=0.0), end]
    return change_plot(series)


@pytest.mark.parametrize("last", [(20.0, 20.3, 19.9, 66.0), (0.0,) * 5, (-80.0, 150.0), (0.01,)])
def test_labels_and_ticks_are_apart_and_inside(last: tuple[float, ...]) -> None:
    svg = plot(*last)
    names, marks = places(svg, "name"), places(svg, "tick")
    assert len(names) == len(last)
    assert 3 <= len(marks) <= 9
    for found in (names, marks):
        ordered = sorted(found.values())
        assert all(b - a >= 14 for a, b in pairwise(ordered)), svg
        assert 10 < ordered[0] < ordered[-1] + 1e-9 < 360 - 45, svg
    assert "0" in marks
    assert "SvdH score units" in svg.split("rotate(-90)")[1]
    assert ">visit</text>" in svg


def test_labels_keep_the_order_of_their_lines() -> None:
    names = places(plot(10.0, 30.0, 10.4), "name")
    assert names["S2"] < names["S3"] < names["S1"]


def test_a_change_below_the_detectable_one_is_hollow() -> None:
    assert plot(2.0).count('fill="#fff"') == 1
    assert plot(30.0).count('fill="#fff"') == 0


@given(FINITE, FINITE)
def test_ticks_are_round_and_hold_the_values(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 1.0)
    found = ticks(low, high)
    assert found[0] <= low + 1e-9  # of changes in units of a score
    assert found[-1] >= high - 1e-9
    assert 0.0 in found
    assert 3 <= len(found) <= 7
    step = found[1] - found[0]
    mantissa = step / 10 ** math.floor(math.log10(step * 1.0001))
    assert min(abs(mantissa - m) for m in (1, 2, 2.5, 5)) < 1e-6


@given(st.lists(st.floats(0, 300), min_size=1, max_size=15))
def test_places_are_apart_in_order_and_no_further_than_needed(wanted: list[float]) -> None:
    found = spread(wanted, 15, 0, 300)
    ordered = sorted(found)
    assert all(b - a >= 15 - 1e-6 for a, b in pairwise(ordered))
    assert [place for _, place in sorted(zip(wanted, found, strict=True))] == ordered
    assert ordered[0] >= 0
    assert ordered[-1] <= 300
    if all(abs(a - b) >= 15 for i, a in enumerate(wanted) for b in wanted[:i]):
        assert found == wanted
