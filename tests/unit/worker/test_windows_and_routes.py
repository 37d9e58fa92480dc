"""Windows by the wall clock of a place, and the first route that matches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ra_daemon.config import Config, Route
from ra_daemon.domain import Header, Lane, Origin
from ra_daemon.errors import ConfigError
from ra_daemon.routing import lane_of, match_route
from ra_daemon.windows import Window

HEADER = Header(
    sop_class_uid="1", sop_instance_uid="2", study_instance_uid="3", series_instance_uid="4",
    study_description="XR Hands", body_part="HAND",
)  # fmt: skip


def test_a_window_over_midnight_in_london() -> None:
    window = Window.parse("20:00-06:00 Europe/London")
    assert window.holds(datetime(2026, 7, 1, 19, 30, tzinfo=UTC))  # 20:30 summer time
    assert not window.holds(datetime(2026, 12, 1, 19, 30, tzinfo=UTC))
    assert window.holds(datetime(2026, 12, 2, 5, 59, tzinfo=UTC))
    assert not window.holds(datetime(2026, 12, 2, 6, 0, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "20-06", "25:00-06:00", "20:00-06:00 Mars/Olympus"])
def test_a_window_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        Window.parse(text)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(st.integers(0, 23), st.integers(0, 23), st.datetimes(timezones=st.just(UTC)))
def test_a_window_and_its_complement_share_no_moment(a: int, b: int, moment: datetime) -> None:
    if a == b:
        return
    inside = Window.parse(f"{a:02d}:00-{b:02d}:00 UTC").holds(moment)
    outside = Window.parse(f"{b:02d}:00-{a:02d}:00 UTC").holds(moment)
    assert inside != outside


def test_the_first_route_that_matches_wins() -> None:
    trial = Route(name="trial", calling_ae="CORE*", lane="off-hours")
    wrist = Route(name="wrist", body_parts=("WRIST",))
    rest = Route(name="rest", description="*hand*", lane="stat")
    config = Config(route=(trial, wrist, rest))
    assert match_route(config, Origin(calling_ae="CORELAB"), HEADER) is trial
    assert match_route(config, Origin(calling_ae="PACS"), HEADER) is rest
    assert (lane_of(trial), lane_of(rest)) == (Lane.OFF_HOURS, Lane.STAT)
    assert match_route(Config(), Origin(), HEADER) is None
