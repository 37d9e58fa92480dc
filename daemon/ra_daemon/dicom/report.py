"""The Structured Report: TID 1500, no diagnosis, always unverified and preliminary."""

from __future__ import annotations

from highdicom.sr import (
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    EnhancedSR,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom import Dataset

from ra_daemon.dicom import codes
from ra_daemon.dicom.common import MANUFACTURER, MODEL, finish
from ra_daemon.dicom.groups import Groups
from ra_daemon.dicom.reference import evidence_of, reference
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.dicom.uids import derive_uid
from ra_daemon.exposures import CR, DX_PRESENTATION, DX_PROCESSING

SERIES_NUMBER = 9001
_CLASSES = {
    "comprehensive3d": Comprehensive3DSR,
    "comprehensive": ComprehensiveSR,
    "enhanced": EnhancedSR,
}
_WORDS = {
    "sr": "SvdH damage score",
    "refusal": "Not analysed",
    "retraction": "RETRACTED score",
}


def compose_report(given: ReportInput) -> Dataset:
    """The report of a score, that an image was not analysed and why, or of a retraction."""
    if given.retracted is None:
        sources = [reference(p) for p in given.sources]
    else:
        sources = evidence_of(reference(given.sources[0]))
    groups = Groups(given, sources)
    make = {"sr": groups.scores, "refusal": groups.refusal, "retraction": groups.retraction}
    kind = given.kind
    content = make[kind]()
    report = MeasurementReport(
        observation_context=_observer(given),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=content,
        title=codes.REPORT_TITLE,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(codes.ENGLISH),
        referenced_images=sources if all(_describable(s) for s in sources) else None,
    )
    first = sources[0]
    ds = _CLASSES[given.sr_class](
        evidence=sources,
        content=_trunk(report[0]),
        series_instance_uid=_series(given, first, kind),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derive_uid(*given.uid_parts(f"{kind}/{given.sr_class}")),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        institution_name=None,
        performed_procedure_codes=[codes.own("RA0901")],
    )
    ds["ContentSequence"] = report[0]["ContentSequence"]
    stamp = "DEMONSTRATION; AI, not verified" if given.demonstration else "AI, not verified"
    finish(ds, first, given, f"ra-daemon {_WORDS[kind]} ({stamp})")
    _requested(ds, first)
    if given.predecessor_uid is not None:
        _predecessor(ds, first, given)
    return ds


def _trunk(root: Dataset) -> Dataset:
    """The root of a content tree, without the tree.

    highdicom copies the tree for readers that never come, and walks it twice to see that every
    image it names is among the evidence, which is where ``Groups`` has them from: half of the time
    that a report takes. What it would have written is the same (a test compares the bytes).
    """
    bare = Dataset()
    for element in root:
        if element.keyword != "ContentSequence":
            bare[element.tag] = element
    bare.ContentSequence = []
    return bare


def _series(given: ReportInput, source: Dataset, kind: str) -> str:
    """Scores and their retractions share a series, refusals have one of their own."""
    name = "refusal" if kind == "refusal" else "sr"
    return derive_uid("series", name, str(source.StudyInstanceUID), given.salt)


def _observer(given: ReportInput) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=derive_uid("device", given.serial_number),
        name=MODEL,
        manufacturer_name=MANUFACTURER,
        model_name=MODEL,
        serial_number=given.serial_number,
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.dcm("121007", "Device"), observer_identifying_attributes=device
        )
    )


def _describable(source: Dataset) -> bool:
    """Whether the image library (optional, TID 1600) can describe it as a radiograph."""
    needed = ("Modality", "Rows", "Columns", "PatientOrientation", "ImagerPixelSpacing")
    if source.SOPClassUID not in (CR, DX_PRESENTATION, DX_PROCESSING):
        return False
    return all(source.get(k) for k in needed) and source.Modality not in ("CT", "MR", "PT")


def _requested(ds: Dataset, source: Dataset) -> None:
    """Tie the report to its order; SR takes Referenced, not Request Attributes, Sequence."""
    requests = source.get("RequestAttributesSequence")
    if not requests:
        return
    asked, item = requests[0], Dataset()
    item.StudyInstanceUID = source.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.AccessionNumber = source.get("AccessionNumber") or ""
    item.PlacerOrderNumberImagingServiceRequest = ""
    item.FillerOrderNumberImagingServiceRequest = ""
    item.RequestedProcedureID = asked.get("RequestedProcedureID", "") or ""
    item.RequestedProcedureDescription = asked.get("RequestedProcedureDescription", "") or ""
    item.RequestedProcedureCodeSequence = []
    ds.ReferencedRequestSequence = [item]


def _predecessor(ds: Dataset, source: Dataset, given: ReportInput) -> None:
    reference_item, series, study = Dataset(), Dataset(), Dataset()
    reference_item.ReferencedSOPClassUID = given.predecessor_class_uid or ds.SOPClassUID
    reference_item.ReferencedSOPInstanceUID = given.predecessor_uid
    series.SeriesInstanceUID = _series(given, source, given.predecessor_kind)
    series.ReferencedSOPSequence = [reference_item]
    study.StudyInstanceUID = source.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    ds.PredecessorDocumentsSequence = [study]
