"""Every object we write passes both validators, whatever the source's header looks like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.domain import Reason, Refused, Scored
from ra_daemon.steps.compose import datasets, encoded
from tests.support import dicom_sources, scored
from tests.support.validators import dciodvfy_errors, pixelmed_errors

# One worker: the matrix of reports takes half a minute to make.
pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("validators")]
WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


def given(
    path: Path, *, result: Scored | None = None, refused: Refused | None = None
) -> ReportInput:
    return ReportInput(
        sources=(path,), source_digests=("aa",), created_at=WHEN, pipeline_digest="pp",
        scored=result, refused=refused,
    )  # fmt: skip


def written(made: ReportInput, folder: Path, stem: str) -> dict[str, Path]:
    paths = {}
    for kind, dataset in datasets(made):
        paths[kind] = folder / f"{stem}.{kind}.dcm"
        paths[kind].write_bytes(encoded(dataset))
    return paths


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("base") / "base.dcm")


@pytest.fixture(scope="module")
def matrix(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Report and capture of every dirty source, by fault."""
    folder = tmp_path_factory.mktemp("matrix")
    made = {}
    for name, dirt in dicom_sources.MATRIX.items():
        source = dicom_sources.dirty(folder / f"{name}.dcm", base, dirt)
        made[name] = written(given(source, result=scored.both_hands()), folder, name)
    cr = dicom_sources.clean(folder / "cr.dcm", hands="left", sop_class="CR")
    made["one-hand"] = written(given(cr, result=scored.left_hand()), folder, "one")
    refused = Refused(reason=Reason.OPEN_PHYSES)
    made["refusal"] = written(given(base, refused=refused), folder, "refused")
    return made


@pytest.fixture(scope="module")
def merged(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """The same faults in few headers, by the faults each holds: PixelMed takes seconds a file."""
    folder = tmp_path_factory.mktemp("merged")
    made = {}
    for number, rows in enumerate(dicom_sources.merged(base)):
        every = dicom_sources.together(*rows.values())
        source = dicom_sources.dirty(folder / f"{number}.dcm", base, every)
        objects = written(given(source, result=scored.both_hands()), folder, f"merged-{number}")
        made[", ".join(rows)] = objects
    return made


@pytest.mark.timeout(1200)
def test_dciodvfy_finds_no_error(
    matrix: dict[str, dict[str, Path]], merged: dict[str, dict[str, Path]]
) -> None:
    faults = {
        f"{name}/{kind}": errors
        for name, objects in (*matrix.items(), *merged.items())
        for kind, path in objects.items()
        if (errors := dciodvfy_errors(path))
    }
    assert faults == {}


@pytest.mark.timeout(1200)
def test_pixelmed_finds_no_error(
    matrix: dict[str, dict[str, Path]], merged: dict[str, dict[str, Path]]
) -> None:
    assert sum(len(rows.split(", ")) for rows in merged) == len(dicom_sources.MATRIX)
    reports = {rows: objects["sr"] for rows, objects in merged.items()}
    reports |= {"one-hand": matrix["one-hand"]["sr"], "refusal": matrix["refusal"]["refusal"]}
    found = pixelmed_errors(list(reports.values()))
    assert {rows: e for rows, path in reports.items() if (e := found[path.name])} == {}


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_pixelmed_finds_no_error_in_any_row(matrix: dict[str, dict[str, Path]]) -> None:
    reports = {row: objects.get("sr") or objects["refusal"] for row, objects in matrix.items()}
    found = pixelmed_errors(list(reports.values()))
    assert {row: e for row, path in reports.items() if (e := found[path.name])} == {}


def test_names_in_other_scripts_survive(matrix: dict[str, dict[str, Path]]) -> None:
    report = dcmread(matrix["cyrillic"]["sr"])
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == "Иванов^Иван"
    assert "山田" in str(dcmread(matrix["japanese"]["sr"]).PatientName)
    assert str(dcmread(matrix["greek"]["capture"]).PatientName).startswith("Παπαδ")


def test_what_is_plain_is_mended_and_the_rest_blanked(
    matrix: dict[str, dict[str, Path]],
) -> None:
    def value(row: str, keyword: str) -> str:
        (sr, capture) = (dcmread(matrix[row][kind]).get(keyword) for kind in ("sr", "capture"))
        assert sr == capture
        return str(sr or "")

    assert value("dotted-date", "StudyDate") == "20261101"
    assert value("no-such-day", "StudyDate") == ""
    assert value("two-dates", "StudyDate") == ""
    assert value("backslash-name", "PatientName") == "Doe Jane^A"
    assert value("six-component-name", "PatientName") == "A^B^C^D^E F G"
    assert value("sex-lower-case", "PatientSex") == "F"
    assert value("backslash-id", "PatientID") == ""
    assert value("padded-id", "PatientID") == "1234"
    assert value("unknown-charset", "PatientID") == value("no-StudyID", "PatientID") != ""
    assert value("unknown-charset", "PatientName") == ""
    assert value("misspelt-charset", "PatientName") == "Müller^A"


def test_an_orientation_is_the_source_s_or_none(matrix: dict[str, dict[str, Path]]) -> None:
    wanted = {"orientation-oblique": ["LP", "FA"], "orientation-XY": ""}
    for row, orientation in (*wanted.items(), ("no-PatientOrientation", "")):
        assert dcmread(matrix[row]["capture"]).PatientOrientation == orientation, row


def test_same_input_same_bytes(base: Path) -> None:
    made = given(base, result=scored.both_hands())
    first = [encoded(d) for _, d in datasets(made)]
    assert first == [encoded(d) for _, d in datasets(made)]


def test_objects_belong_to_the_study_and_say_what_they_are(
    base: Path, matrix: dict[str, dict[str, Path]]
) -> None:
    source = dcmread(base)
    for kind in ("sr", "capture"):
        ds = dcmread(matrix["no-StudyID"][kind])
        assert ds.StudyInstanceUID == source.StudyInstanceUID
        assert ds.SeriesInstanceUID != source.SeriesInstanceUID
        assert "DEMONSTRATION" in ds.SeriesDescription
    report = dcmread(matrix["no-StudyID"]["sr"])
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    text = str(report)
    assert "not normal" in text
    assert "Rheumatoid arthritis" not in text


def test_one_hand_never_carries_the_code_of_both(matrix: dict[str, dict[str, Path]]) -> None:
    text = str(dcmread(matrix["one-hand"]["sr"]))
    assert "RA0002" in text
    assert "RA0001" not in text


def retraction(report: Path, *, demonstration: bool = True) -> ReportInput:
    before = dcmread(report)
    return ReportInput(
        sources=(report,), source_digests=(str(before.SOPInstanceUID),), created_at=WHEN,
        pipeline_digest="pp", predecessor_uid=str(before.SOPInstanceUID),
        predecessor_class_uid=str(before.SOPClassUID), retracted="Wrong side marker: left is right",
        predecessor_demonstration=demonstration,
    )  # fmt: skip


def test_a_retraction_is_made_from_the_report_alone(
    matrix: dict[str, dict[str, Path]], tmp_path: Path
) -> None:
    made = {}
    for name in ("no-StudyID", "japanese", "one-hand"):
        report = matrix[name]["sr"]
        (made[name],) = written(retraction(report), tmp_path, name).values()
        before, ds = dcmread(report), dcmread(made[name])
        assert ds.SOPInstanceUID != before.SOPInstanceUID
        assert ds.SeriesInstanceUID == before.SeriesInstanceUID
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber"):
            assert ds.get(keyword) == before.get(keyword)
        (study,) = ds.PredecessorDocumentsSequence
        (series,) = study.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == before.SeriesInstanceUID
        (item,) = series.ReferencedSOPSequence
        assert item.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert item.ReferencedSOPClassUID == before.SOPClassUID
        evidence = "CurrentRequestedProcedureEvidenceSequence"
        assert ds[evidence] == before[evidence]
        text = str(ds)
        assert b"Wrong side marker" in made[name].read_bytes()  # str() cuts long texts
        assert "must not be used" in text
        assert "RA0001" not in text
        assert "RETRACTED" in ds.SeriesDescription
        assert dciodvfy_errors(made[name]) == []
    assert {n: e for n, e in pixelmed_errors(list(made.values())).items() if e} == {}


def test_a_retraction_says_demonstration_where_its_report_did(
    matrix: dict[str, dict[str, Path]],
) -> None:
    for stamped in (True, False):
        ((_, ds),) = datasets(retraction(matrix["one-hand"]["sr"], demonstration=stamped))
        assert ("DEMONSTRATION" in ds.SeriesDescription) is stamped


def test_a_retraction_repeats_byte_for_byte(matrix: dict[str, dict[str, Path]]) -> None:
    given_ = retraction(matrix["greek"]["sr"])
    assert [encoded(d) for _, d in datasets(given_)] == [encoded(d) for _, d in datasets(given_)]


def test_a_predecessor_lies_in_its_own_series(base: Path, tmp_path: Path) -> None:
    (refusal,) = written(given(base, refused=Refused(reason=Reason.CAST)), tmp_path, "r").values()
    before = dcmread(refusal)
    follows = replace(
        given(base, result=scored.both_hands()),
        predecessor_uid=str(before.SOPInstanceUID), predecessor_class_uid="1.2.3",
        predecessor_kind="refusal",
    )  # fmt: skip
    ds = dcmread(written(follows, tmp_path, "s")["sr"])
    (series,) = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.SeriesInstanceUID == before.SeriesInstanceUID != ds.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPClassUID == "1.2.3"


def test_both_validators_see_a_fault(matrix: dict[str, dict[str, Path]], tmp_path: Path) -> None:
    ds = dcmread(matrix["one-hand"]["sr"])
    del ds.CompletionFlag
    ds.ContentSequence = [
        item
        for item in ds.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning != "Imaging Measurements"
    ]
    broken = tmp_path / "broken.dcm"
    ds.save_as(broken)
    assert dciodvfy_errors(broken) != []
    assert pixelmed_errors([broken])["broken.dcm"] != []
