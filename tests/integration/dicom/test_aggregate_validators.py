"""Both validators on the report of an aggregate, and on every class that a peer may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.dicom.report import compose_report
from ra_daemon.dicom.report_input import ReportInput, SrClass
from ra_daemon.domain import Reason, Refused
from ra_daemon.steps.compose import encoded
from tests.support import dicom_sources, scored
from tests.support.aggregates import Aggregated, aggregated
from tests.support.validators import dciodvfy_errors, pixelmed_errors

# One worker, one virtual machine of the validator.
pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("validators")]
WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)
CLASSES: dict[SrClass, str] = {
    "comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aggregated]:
    with aggregated(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def reports(site: Aggregated, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The aggregate in every class, its retraction, and other reports in the lesser classes."""
    folder = tmp_path_factory.mktemp("reports")
    source = dicom_sources.clean(folder / "both.dcm")
    made = {f"aggregate-{name}": site.report(name) for name in CLASSES}
    retracted = {"sources": (made["aggregate-enhanced"],), "retracted": "Wrong side marker"}
    refused = Refused(reason=Reason.NOT_SELECTED, detail="SOP instance 1.2.3.")
    wanted: dict[str, dict[str, object]] = {
        "retraction": {**retracted, "predecessor_uid": "1.2.3", "sr_class": "enhanced"},
        "both-comprehensive": {"scored": scored.both_hands(), "sr_class": "comprehensive"},
        "both-enhanced": {"scored": scored.both_hands(), "sr_class": "enhanced"},
        "refusal-enhanced": {"refused": refused, "sr_class": "enhanced"},
    }
    for name, fields in wanted.items():
        base = {"sources": (source,), "source_digests": ("aa",), "created_at": WHEN}
        given = ReportInput(**{**base, "pipeline_digest": "pp", **fields})  # type: ignore[arg-type]
        made[name] = folder / f"{name}.dcm"
        made[name].write_bytes(encoded(compose_report(given)))
    return made


def test_each_class_is_what_was_asked_for(reports: dict[str, Path]) -> None:
    for name, uid in CLASSES.items():
        assert dcmread(reports[f"aggregate-{name}"]).SOPClassUID == uid
    assert dcmread(reports["both-enhanced"]).SOPClassUID == CLASSES["enhanced"]
    uids = {str(dcmread(path).SOPInstanceUID) for path in reports.values()}
    assert len(uids) == len(reports)


def test_dciodvfy_finds_no_error(reports: dict[str, Path]) -> None:
    assert {n: e for n, p in reports.items() if (e := dciodvfy_errors(p))} == {}


@pytest.mark.timeout(900)
def test_pixelmed_finds_no_error(reports: dict[str, Path], tmp_path: Path) -> None:
    named = [tmp_path / f"{name}.dcm" for name in reports]
    for path, report in zip(named, reports.values(), strict=True):
        path.write_bytes(report.read_bytes())
    found = pixelmed_errors(named)
    assert len(found) == len(reports)
    assert {n: e for n, e in found.items() if e} == {}
