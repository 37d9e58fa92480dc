"""The clean copy of a source's header: what stays, what is left out, and what is logged of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from pydicom import Dataset, dcmread

from ra_daemon.dicom.reference import reference
from ra_daemon.errors import ComposeError
from tests.support import dicom_sources
from tests.support.dicom_sources import Dirt, together, with_items, with_raw, without


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("base") / "base.dcm")


def cleaned(base: Path, folder: Path, *dirts: Dirt) -> Dataset:
    return reference(dicom_sources.dirty(folder / "dirty.dcm", base, together(*dirts)))


def test_identifiers_stay_as_they_came(base: Path, tmp_path: Path) -> None:
    ds = cleaned(
        base, tmp_path, with_raw("StudyInstanceUID", "1.02.abc"), with_raw("PatientID", " 007 a")
    )
    assert ds.StudyInstanceUID == "1.02.abc"
    assert ds.PatientID == " 007 a"
    assert ds.SOPInstanceUID == dcmread(base).SOPInstanceUID


def test_an_unknown_character_set_does_not_cost_the_patient_id(base: Path, tmp_path: Path) -> None:
    ds = cleaned(
        base, tmp_path, with_raw("SpecificCharacterSet", "KLINGON"),
        with_raw("PatientID", "4711"), with_raw("PatientName", b"M\xfcller^A"),
    )  # fmt: skip
    assert (ds.PatientID, ds.PatientName) == ("4711", None)


def test_a_series_without_a_name_gets_one_of_its_own(base: Path, tmp_path: Path) -> None:
    ds = cleaned(base, tmp_path, without("SeriesInstanceUID"))
    assert ds.SeriesInstanceUID.startswith("2.25.")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_what_is_no_instance_of_a_study_cannot_be_reported(
    base: Path, tmp_path: Path, keyword: str
) -> None:
    with pytest.raises(ComposeError):
        cleaned(base, tmp_path, without(keyword))


def test_items_are_mended_and_those_that_are_not_whole_left_out(base: Path, tmp_path: Path) -> None:
    study = {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1"}
    ds = cleaned(
        base, tmp_path,
        with_items(
            "ReferencedStudySequence",
            {**study, "ReferencedSOPInstanceUID": "x.1"},
            {**study, "ReferencedSOPInstanceUID": "1.2.3"},
            study,
        ),
        with_items("ProcedureCodeSequence", {"CodeMeaning": "alone"}),
        with_items("RequestAttributesSequence", {"RequestedProcedureDescription": "a\\b"}),
    )  # fmt: skip
    assert [i.ReferencedSOPInstanceUID for i in ds.ReferencedStudySequence] == ["1.2.3"]
    assert "ProcedureCodeSequence" not in ds
    assert ds.RequestAttributesSequence[0].RequestedProcedureDescription == "a b"


def test_a_trial_is_carried_over_whole_or_not_at_all(base: Path, tmp_path: Path) -> None:
    subject = dicom_sources.SUBJECT
    whole = cleaned(base, tmp_path, *(with_raw(k, v) for k, v in subject.items()))
    assert (whole.ClinicalTrialSubjectID, whole.ClinicalTrialSiteID) == ("S1", None)
    part = cleaned(base, tmp_path, with_raw("ClinicalTrialSubjectID", "S1"))
    assert "ClinicalTrialSubjectID" not in part


def test_what_was_changed_is_logged_without_its_value(base: Path, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        cleaned(
            base, tmp_path, with_raw("PatientName", "Doe\\Jane"), with_raw("StudyDate", "20260231"),
            with_items("RequestAttributesSequence", {"RequestedProcedureID": "P" * 40}),
        )  # fmt: skip
    (line,) = logs
    assert line["event"] == "header.mended"
    assert line["attributes"] == [
        "PatientName", "RequestAttributesSequence", "RequestedProcedureID", "StudyDate",
    ]  # fmt: skip
    assert not any(word in str(line) for word in ("Doe", "Jane", "20260231", "PPP"))
    with structlog.testing.capture_logs() as logs:
        reference(base)
    assert logs == []
