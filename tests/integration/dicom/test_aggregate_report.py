"""The report of two single-hand images: each hand of its own image, the total of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.support.aggregates import Aggregated, aggregated
from tests.support.documents import Group, groups_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aggregated]:
    with aggregated(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def report(site: Aggregated) -> Dataset:
    return dcmread(site.report())


@pytest.fixture(scope="module")
def groups(report: Dataset) -> dict[str, Group]:
    return {g.name: g for g in groups_of(report)}


TOTAL = "Estimated radiographic joint damage (SvdH), both hands"
LEFT, RIGHT = (f"Estimated radiographic joint damage (SvdH), {s} hand" for s in ("left", "right"))
MEMBERS = ("residual", "plain", "dense")


def test_it_has_what_a_report_of_both_hands_has(groups: dict[str, Group]) -> None:
    assert set(groups) == {TOTAL, LEFT, RIGHT, *(f"SvdH {m}" for m in MEMBERS), "Damage band"}
    assert groups[TOTAL].laterality == "Bilateral"
    assert (groups[LEFT].laterality, groups[RIGHT].laterality) == ("Left", "Right")


def test_each_hand_cites_its_own_image_and_the_total_both(
    site: Aggregated, groups: dict[str, Group]
) -> None:
    left, right = str(site.left.SOPInstanceUID), str(site.right.SOPInstanceUID)
    own = {LEFT: [left], RIGHT: [right]}
    for name, group in groups.items():
        expected = own.get(name, [left, right])
        assert group.images == expected
        assert group.images_of_numbers == [expected] * len(group.nums)
        assert group.nums


def test_it_agrees_with_its_rows(site: Aggregated, groups: dict[str, Group]) -> None:
    names = {"svdh_total": TOTAL, "svdh_left": LEFT, "svdh_right": RIGHT}
    rows = site.rows()
    for row in rows:
        if row["kind"] in names:
            number = groups[names[str(row["kind"])]].number
            for key, code in (("low", "RA0211"), ("high", "RA0212"), ("spread", "RA0213")):
                assert number(code) == pytest.approx(row[key], abs=1e-4)
            code = "RA0001" if row["kind"] == "svdh_total" else "RA0002"
            assert number(code) == pytest.approx(row["value"], abs=1e-4)
            assert row["low"] <= row["value"] <= row["high"]  # type: ignore[operator]
    members = {r["label"]: r["value"] for r in rows if r["kind"] == "svdh_member"}
    assert set(members) == set(MEMBERS)
    for name, value in members.items():
        assert groups[f"SvdH {name}"].number("RA0003") == pytest.approx(value, abs=1e-4)
    (band,) = [r for r in rows if r["kind"] == "severity"]
    assert f"Damage {str(band['label']).removeprefix('damage ')}" in groups["Damage band"].coded
    assert sum(groups["Damage band"].shares) == pytest.approx(1, abs=1e-3)


def test_it_says_what_it_must(report: Dataset, groups: dict[str, Group]) -> None:
    words = "90 % prediction interval, calibrated on generated clinic cohort (phantom)"
    for name in (TOTAL, LEFT, RIGHT):
        assert words in groups[name].texts
        assert "Demonstration model, not for clinical use" in groups[name].coded
        assert any("not normal" in c for c in groups[name].coded)
    assert "Sum of two images, one hand each" in groups[TOTAL].coded
    assert "Laterality attributes of the two images" in groups[TOTAL].coded
    assert "Image Laterality (0020,0062)" in groups[LEFT].coded
    assert "Laterality (0020,0060)" in groups[RIGHT].coded
    edges = "upper edges 0, 6, 16, 32, 64, 120; generated clinic cohort (phantom)"
    assert groups["Damage band"].texts == [edges]
    assert groups["Damage band"].number("RA0102") == 7
    assert "Demonstration model, not for clinical use" in groups["Damage band"].coded
    assert report.SeriesDescription.endswith("(DEMONSTRATION; AI, not verified)")


def test_a_hand_that_was_taken_twice_is_flagged_in_row_and_report(
    tmp_path: Path, site: Aggregated, groups: dict[str, Group]
) -> None:
    words = "More than one image of this hand: the one scored last counts"
    with aggregated(tmp_path, retaken=True) as twice:
        (row,) = [r for r in twice.rows() if r["label"] == "side_repeated"]
        assert (row["kind"], row["laterality"]) == ("quality", "left")
        assert json.loads(str(row["derived_from"]))[0] == str(twice.left.SOPInstanceUID)
        told = {g.name for g in groups_of(dcmread(twice.report())) if words in g.coded}
    assert told == {LEFT}
    assert "side_repeated" not in {r["label"] for r in site.rows()}
    assert not [g for g in groups.values() if words in g.coded]


def test_its_evidence_is_both_images(site: Aggregated, report: Dataset) -> None:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    found = {
        str(item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert found == {str(site.left.SOPInstanceUID), str(site.right.SOPInstanceUID)}


def test_composed_again_it_has_the_same_bytes(site: Aggregated) -> None:
    first, again = site.composed(), site.composed()
    assert first == again
    assert len(first) == 1
