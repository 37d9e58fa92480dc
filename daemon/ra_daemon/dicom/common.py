"""What all our objects share: device, dates, copied context, private scheme."""

from __future__ import annotations

from datetime import datetime

from pydicom import Dataset

from ra_daemon.dicom import codes
from ra_daemon.dicom.report_input import ReportInput
from ra_engine.types import Interval

MANUFACTURER = "ra-daemon project"
MODEL = "ra-daemon"
_COPIED = ("TimezoneOffsetFromUTC", "IssuerOfPatientID", "StudyDescription")
_DATED = ("InstanceCreation", "Content", "Series")


def finish(ds: Dataset, source: Dataset, given: ReportInput, description: str) -> None:
    """Set device, description, dates and the private scheme; copy the study's context.

    ``description`` has at most 64 characters (LO).
    """
    ds.SeriesDescription = description
    ds.ManufacturerModelName = MODEL
    ds.SoftwareVersions = given.software_version
    ds.DeviceSerialNumber = given.serial_number
    for keyword in _COPIED:
        if keyword in source and source.get(keyword) not in (None, ""):
            setattr(ds, keyword, source.get(keyword))
    for name in _DATED:
        setattr(ds, f"{name}Date", given.created_at.strftime("%Y%m%d"))
        setattr(ds, f"{name}Time", given.created_at.strftime("%H%M%S"))
    _still(ds, given.created_at)
    ds.CodingSchemeIdentificationSequence = [_scheme()]


def _still(ds: Dataset, moment: datetime) -> None:
    """Replace the moments that highdicom takes from the clock, so that bytes repeat."""
    stamp = moment.strftime("%Y%m%d%H%M%S")
    for item in ds.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = stamp
    for keyword in ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        if keyword in ds:
            setattr(ds, keyword, stamp[:8] if keyword.startswith("Date") else stamp[8:])


def _scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = codes.SCHEME
    item.CodingSchemeUID = codes.SCHEME_UID
    item.CodingSchemeName = codes.SCHEME_NAME
    item.CodingSchemeVersion = "1"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def interval_words(limits: Interval) -> str:
    """Level and calibration of an interval, for people."""
    cohort = (
        f"calibrated on {limits.calibrated_on}"
        if limits.calibrated_on
        else ("calibrated on images that its model does not name")
    )
    return f"{round(100 * limits.level, 1):g} % prediction interval, {cohort}"


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
