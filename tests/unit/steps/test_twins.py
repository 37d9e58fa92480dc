"""Twins: what counts as one exposure of one hand, and which object of it is scored."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from ra_daemon.domain import Header
from ra_daemon.exposures import CR, DX_PRESENTATION, DX_PROCESSING, rank, same_exposure

READY = Header(
    sop_class_uid=DX_PRESENTATION,
    sop_instance_uid="1.2.1",
    study_instance_uid="1.3",
    series_instance_uid="1.4",
    patient_id="P",
    laterality="L",
    rows=2000,
    columns=1500,
    acquisition_date="20260301",
    acquisition_time="101112",
    acquisition_number="1",
    presentation_intent="FOR PRESENTATION",
)
RAW = replace(
    READY,
    sop_class_uid=DX_PROCESSING,
    sop_instance_uid="1.2.0",
    presentation_intent="FOR PROCESSING",
)


def alike(a: Header, b: Header, *pixels: str) -> bool:
    first, second = pixels or ("aa", "bb")
    told = same_exposure(a, first, b, second)
    assert told == same_exposure(b, second, a, first)
    return told


def test_the_same_pixels_are_one_exposure() -> None:
    other = replace(READY, sop_instance_uid="1.2.9", laterality="", acquisition_time="")
    assert alike(READY, other, "aa", "aa")
    assert not alike(READY, other, "", "")
    assert not alike(READY, replace(other, study_instance_uid="9"), "aa", "aa")
    assert not alike(READY, replace(other, patient_id="Q"), "aa", "aa")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"laterality": "R"}, False),
        ({"acquisition_time": "101113"}, False),
        ({"acquisition_number": "2"}, False),
    ],
)
def test_raw_data_beside_its_presentation(change: dict[str, str], told: bool) -> None:
    assert alike(READY, replace(RAW, **change)) is told  # type: ignore[arg-type]


def test_acquisition_time_alone_joins_nothing() -> None:
    """Pictures of one second may be a left and a right hand without tags."""
    assert not alike(READY, replace(READY, sop_instance_uid="1.2.9"))
    silent = replace(READY, acquisition_date="", acquisition_time="")
    assert not alike(silent, replace(RAW, acquisition_date="", acquisition_time=""))


def test_irradiation_events() -> None:
    first = replace(READY, irradiation_event_uid="1.9")
    second = replace(first, sop_instance_uid="1.2.9", acquisition_time="101120")
    assert alike(first, second)
    assert not alike(first, replace(second, laterality="R"))
    left, right = (replace(h, laterality="") for h in (first, second))
    assert alike(left, right)
    assert not alike(left, replace(right, columns=800))  # two crops of one exposure
    assert not alike(first, replace(second, irradiation_event_uid="1.8"))


def test_the_choice_does_not_depend_on_the_order() -> None:
    film = replace(READY, sop_class_uid="1.2.840.10008.5.1.4.1.1.7", sop_instance_uid="1.2.5")
    small = replace(READY, sop_instance_uid="1.1.1", rows=1000)
    cr = replace(READY, sop_class_uid=CR, sop_instance_uid="1.2.3")
    twin = replace(READY, sop_instance_uid="1.2.2")
    for order in permutations([film, RAW, cr, small, twin, READY]):
        assert sorted(order, key=rank) == [READY, twin, small, cr, RAW, film]
