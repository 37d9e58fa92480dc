"""Every code that we write stands in the frozen table, and means one thing whatever the bundle."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset

from ra_daemon.dicom import codes
from ra_daemon.dicom.capture import compose_capture
from ra_daemon.dicom.report import compose_report
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.domain import REASON_TEXT, Reason, Refused, Scored
from ra_daemon.worker import aggregate
from ra_engine.types import Category, Interval, QualityFlag
from ra_plugins import severity, svdh
from tests.support import dicom_sources, scored
from tests.support.documents import groups_of, own_codes

WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("source") / "both.dcm")


def given(source: Path, **fields: object) -> ReportInput:
    base = {"source_digests": ("aa",), "created_at": WHEN, "pipeline_digest": "pp"}
    return ReportInput(sources=(source,), **base, **fields)  # type: ignore[arg-type]


def with_bands(edges: tuple[float, ...]) -> Scored:
    """A two-hand result of a bundle with other bands."""
    result = scored.both_hands()
    shares = tuple(1 / (len(edges) + 1) for _ in range(len(edges) + 1))
    found = [
        replace(f, edges=edges, index=2, probabilities=shares, reference="another cohort")
        if isinstance(f, Category)
        else f
        for f in result.findings
    ]
    return replace(result, findings=tuple(found))


def in_table(value: str) -> str | None:
    """The table's meaning of a value."""
    counted = re.fullmatch(r"(RA\d{4})-(\d+)-(\d+)", value)
    if counted is None:
        return codes.OWN.get(value)
    family, k, of = counted.groups()
    return codes.FAMILIES[family].format(k=k, of=of)


def test_values_and_meanings_fit_their_representations() -> None:
    assert [v for v in codes.OWN if not re.fullmatch(r"RA\d{4}", v)] == []
    assert [m for m in codes.OWN.values() if len(m) > 64] == []
    assert len(set(codes.OWN.values())) == len(codes.OWN)
    assert set(codes.OWN) & set(codes.FAMILIES) == set()
    for family in codes.FAMILIES:
        made = codes.counted(family, 999, 999)
        assert len(made.value) <= 16
        assert len(made.meaning) <= 64
    with pytest.raises(TypeError):
        codes.OWN["RA0001"] = "another meaning"  # type: ignore[index]


def test_every_reason_has_its_code() -> None:
    found = {reason: codes.OWN[value] for reason, value in codes.REASONS.items()}
    assert found == {reason: REASON_TEXT[reason].removesuffix(".") for reason in Reason}


def test_plugins_and_worker_use_codes_of_the_table() -> None:
    for code in (svdh.TOTAL, svdh.HAND, svdh.MEMBER, severity.CODE, aggregate.TOTAL):
        assert code == (code[0], codes.SCHEME, codes.OWN[code[0]])
    assert aggregate.TOTAL == svdh.TOTAL
    for flag in (aggregate.SUMMED, aggregate.UNCALIBRATED, aggregate.REPEATED):
        assert flag.code in codes.FLAGS


def test_documents_have_no_code_beside_the_table(source: Path) -> None:
    documents = [
        compose_report(given(source, scored=scored.both_hands())),
        compose_report(given(source, scored=scored.left_hand())),
        compose_report(given(source, scored=with_bands((10.0, 20.0, 40.0, 80.0)))),
        *(compose_report(given(source, refused=Refused(reason=r))) for r in list(Reason)[::5]),
    ]
    for document in documents:
        found = own_codes(document)
        assert found
        assert found == {value: {in_table(value)} for value in found}


def test_a_band_of_other_bands_has_another_code(source: Path) -> None:
    reports = [
        compose_report(given(source, scored=with_bands(edges)))
        for edges in ((0.0, 6.0, 16.0), (10.0, 20.0, 40.0, 80.0))
    ]
    assert [in_bands(r) for r in reports] == [{"RA0110-2-4"}, {"RA0110-2-5"}]
    texts = [groups_of(r)[-1].texts for r in reports]
    assert texts == [
        ["upper edges 0, 6, 16; another cohort"],
        ["upper edges 10, 20, 40, 80; another cohort"],
    ]


def in_bands(report: Dataset) -> set[str]:
    return {value for value in own_codes(report) if value.startswith("RA0110")}


def test_a_plugins_class_is_no_damage_band(source: Path) -> None:
    result = with_bands((1.0, 2.0))
    osteopenia = [
        replace(f, kind="bone", label="bone density class", code=("B1", "99ACME", "Bone density"))
        for f in result.findings
        if isinstance(f, Category)
    ]
    report = compose_report(given(source, scored=replace(result, findings=tuple(osteopenia))))
    (group,) = groups_of(report)
    assert group.name == "bone density class"
    assert "Class 2 of 3" in group.coded
    assert not any("amage" in c for c in group.coded)


def test_a_plugins_flag_is_told_whole(source: Path) -> None:
    words = "The image is noisy beyond what the model was made for; take its score with caution."
    result = scored.left_hand()
    flag = QualityFlag(code="noise", text=words, view=0)
    report = compose_report(
        given(source, scored=replace(result, findings=(*result.findings, flag)))
    )
    assert f"noise: {words}" in groups_of(report)[0].texts


def test_a_refusal_tells_its_detail(source: Path) -> None:
    detail = "SOP instance 1.2.826.0.1.3680043.8.498.1234567890123456789012345678901234."
    refused = Refused(reason=Reason.NOT_SELECTED, detail=detail)
    (group,) = groups_of(compose_report(given(source, refused=refused)))
    assert "Another object of the same exposure is scored" in group.coded
    assert group.texts == [detail]


def test_the_source_of_laterality_is_told(source: Path) -> None:
    whole = groups_of(compose_report(given(source, scored=scored.both_hands())))
    assert "Place in the image, which proves no side" in whole[0].coded
    one = groups_of(compose_report(given(source, scored=scored.left_hand())))
    assert "Not known" in one[0].coded  # the view of this result names no source
    letter = replace(scored.left_hand(), laterality_source="marker")
    letter = replace(letter, views=(replace(letter.views[0], side_source="marker"),))
    for group in groups_of(compose_report(given(source, scored=letter)))[:1]:
        assert "Lead letter on the image" in group.coded
        assert group.laterality == "Left"
    result = scored.both_hands()
    conflict = QualityFlag(code="laterality_conflict", text="Disputed.")
    result = replace(result, findings=(*result.findings, conflict))
    disputed = groups_of(compose_report(given(source, scored=result)))
    assert "Disputed by tags and image" in disputed[0].coded
    assert "Tags, or tags and image, dispute the side: total only" in disputed[0].coded


def test_intervals_say_on_whom_they_were_calibrated(source: Path) -> None:
    result = scored.left_hand()
    limits = Interval(low=8, high=19, calibrated_on="800 clinic patients")
    (score, *rest) = result.findings
    told = replace(result, findings=(replace(score, interval=limits), *rest))  # type: ignore[call-arg]
    expected = "90 % prediction interval, calibrated on 800 clinic patients"
    assert expected in groups_of(compose_report(given(source, scored=told)))[0].texts
    unknown = groups_of(compose_report(given(source, scored=result)))[0].texts
    assert unknown == [
        "90 % prediction interval, calibrated on images that its model does not name"
    ]


@pytest.mark.parametrize("demonstration", [True, False])
def test_descriptions_of_series_are_whole(source: Path, *, demonstration: bool) -> None:
    result = scored.both_hands()
    use = "demonstration" if demonstration else "clinical"
    findings = [
        f if isinstance(f, QualityFlag) else replace(f, model=replace(f.model, intended_use=use))
        for f in result.findings
    ]
    result = replace(result, findings=tuple(findings))
    report = compose_report(given(source, scored=result))
    made = {
        "score": report.SeriesDescription,
        "refusal": compose_report(given(source, refused=Refused(reason=Reason.CAST))),
        "attention": compose_capture(given(source, scored=result)).SeriesDescription,
    }
    made["refusal"] = made["refusal"].SeriesDescription
    for words in made.values():
        assert len(words) <= 64
        assert words.endswith(")")
    assert "AI, not verified" in made["score"]
    assert "AI, not verified" in made["refusal"]
    assert "NOT FOR DIAGNOSTIC USE" in made["attention"]
    for name in ("score", "attention"):
        assert ("DEMONSTRATION" in made[name]) is demonstration
