"""Windows by the wall clock of a place, and the first route that matches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from ra_daemon.config import Config, Node, Route
from ra_daemon.domain import Header, Lane, Origin
from ra_daemon.errors import ConfigError
from ra_daemon.routing import lane_of, match_route
from ra_daemon.sop_classes import SOP_CLASSES
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


CR, DX, RAW_DX, FILM = (
    "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)  # fmt: skip


def test_a_route_for_what_the_sender_called() -> None:
    trial, rest = Route(name="trial", called_ae="RA_TRIAL"), Route(name="rest")
    config = Config(node=Node(more_titles=("RA_TRIAL",)), route=(trial, rest))
    for title, fitting in (("RA_TRIAL", trial), ("RA_DAEMON", rest)):
        assert match_route(config, Origin(calling_ae="PACS", called_ae=title), HEADER) is fitting
    assert config.node.titles == {"RA_DAEMON", "RA_TRIAL"}


def taken(route: dict[str, Any], *, address: str = "10.0.0.5", **fields: Any) -> bool:
    """Whether a route takes an image, with a route behind it that takes all."""
    first, rest = Route.model_validate({"name": "first", **route}), Route(name="rest")
    origin = Origin(calling_ae="CR1", called_ae="RA_DAEMON", address=address)
    found = match_route(Config(route=(first, rest)), origin, replace(HEADER, **fields))
    assert found in (first, rest)
    return found is first


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("10.1.255.9", True), ("10.2.0.1", False), ("192.0.2.7", True), ("192.0.2.8", False),
        ("2001:db8::1", True), ("::ffff:10.1.0.1", True), ("::ffff:10.2.0.1", False), ("", False),
    ],
)  # fmt: skip
def test_a_route_for_addresses(address: str, fits: bool) -> None:
    networks = ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/64"]
    assert taken({"calling_networks": networks}, address=address) is fits
    assert taken({}, address=address)


@pytest.mark.parametrize(
    ("classes", "fits"),
    [
        ([], {CR, DX, RAW_DX, FILM}),
        (["CR"], {CR}),
        (["DX"], {DX, RAW_DX}),
        (["CR", "SC"], {CR, FILM}),
        ([DX], {DX}),
    ],
)
def test_a_route_for_sop_classes(classes: list[str], fits: set[str]) -> None:
    assert {
        uid for uid in (CR, DX, RAW_DX, FILM) if taken({"sop_classes": classes}, sop_class_uid=uid)
    } == fits


def test_sop_classes_are_the_standards() -> None:
    """The table's UIDs by their names in PS3.6, from another list than ours."""
    assert {name: [sop_name(uid) for uid in uids] for name, uids in SOP_CLASSES.items()} == {
        "CR": ["Computed Radiography Image Storage"],
        "DX": [
            "Digital X-Ray Image Storage - For Presentation",
            "Digital X-Ray Image Storage - For Processing",
        ],
        "SC": [
            "Secondary Capture Image Storage",
            "Multi-frame Grayscale Byte Secondary Capture Image Storage",
            "Multi-frame Grayscale Word Secondary Capture Image Storage",
            "Multi-frame True Color Secondary Capture Image Storage",
        ],
    }


def sop_name(uid: str) -> str:
    return UID(uid).name


@pytest.mark.parametrize(
    ("age", "fits"), [(None, True), (3.0, True), (70.0, True), (70.9, True), (71.0, False)]
)
def test_a_route_up_to_an_age(age: float | None, fits: bool) -> None:
    assert taken({"max_age": 70}, patient_age_years=age) is fits
    assert taken({}, patient_age_years=age)


def test_all_that_a_route_asks_for_must_fit() -> None:
    route = {"calling_networks": ["10.0.0.0/8"], "sop_classes": ["CR"], "max_age": 70}
    fitting = {"sop_class_uid": CR, "patient_age_years": 50.0}
    assert taken(route, **fitting)
    for other in ({"address": "11.0.0.1"}, {"sop_class_uid": DX}, {"patient_age_years": 80.0}):
        assert not taken(route, **{**fitting, **other})
