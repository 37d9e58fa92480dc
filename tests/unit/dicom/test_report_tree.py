"""A report whose tree highdicom has not walked is the report that highdicom would have made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from ra_daemon.dicom import report
from ra_daemon.dicom.report_input import ReportInput, SrClass
from ra_daemon.domain import Reason, Refused
from ra_daemon.steps.compose import encoded
from tests.support import dicom_sources, scored

WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("source") / "both.dcm")


def of(kind: str, source: Path, sr_class: SrClass, folder: Path) -> ReportInput:
    """A score, a refusal, or the retraction of that score."""

    def made(path: Path, **fields: object) -> ReportInput:
        return ReportInput(
            sources=(path,), source_digests=("aa",), created_at=WHEN, pipeline_digest="pp",
            sr_class=sr_class, **fields,  # type: ignore[arg-type]
        )  # fmt: skip

    if kind == "refusal":
        return made(source, refused=Refused(reason=Reason.CAST))
    score = made(source, scored=scored.both_hands())
    if kind == "sr":
        return score
    before = folder / "before.dcm"
    before.write_bytes(encoded(report.compose_report(score)))
    uid = str(dcmread(before).SOPInstanceUID)
    return made(before, predecessor_uid=uid, retracted="Wrong side marker")


@pytest.mark.parametrize("sr_class", ["comprehensive3d", "comprehensive", "enhanced"])
@pytest.mark.parametrize("kind", ["sr", "refusal", "retraction"])
def test_it_has_the_bytes_of_highdicom(
    kind: str, sr_class: SrClass, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = of(kind, source, sr_class, tmp_path)
    ours = encoded(report.compose_report(given))
    walked: list[Dataset] = []

    def whole(root: Dataset) -> Dataset:
        walked.append(root)
        return root

    monkeypatch.setattr(report, "_trunk", whole)
    theirs = encoded(report.compose_report(given))
    assert len(walked) == 1
    assert ours == theirs
