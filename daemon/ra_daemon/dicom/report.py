"""The Structured Report: TID 1500, no diagnosis, always unverified and preliminary."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    EnhancedSR,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom import Dataset

from ra_daemon.dicom import codes
from ra_daemon.dicom.common import MANUFACTURER, MODEL, finish
from ra_daemon.dicom.reference import DEMONSTRATION, STAMP, evidence_of, reference
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.dicom.uids import derive_uid
from ra_daemon.exposures import CR, DX_PRESENTATION, DX_PROCESSING
from ra_engine.types import Category, QualityFlag, Side
from ra_engine.types import Measurement as Value

SERIES_NUMBER = 9001
_CLASSES = {
    "comprehensive3d": Comprehensive3DSR,
    "comprehensive": ComprehensiveSR,
    "enhanced": EnhancedSR,
}
ZERO_STATEMENT = "0 is not normal: it excludes neither arthritis nor fracture"
_MEANING_LIMIT = 64
_WORDS = {
    "sr": "SvdH damage score",
    "refusal": "Not analysed",
    "retraction": "RETRACTED damage score",
}


def compose_report(given: ReportInput) -> Dataset:
    """The report of a score, that an image was not analysed and why, or of a retraction."""
    if given.retracted is None:
        sources = [reference(p) for p in given.sources]
    else:
        sources = evidence_of(reference(given.sources[0]))
    groups = _Groups(given, sources)
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
        content=report[0],
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
    words = _WORDS[kind]
    stamp = "DEMONSTRATION, not for clinical use" if given.demonstration else STAMP
    finish(ds, first, given, f"ra-daemon {words} ({stamp})")
    _requested(ds, first)
    if given.predecessor_uid is not None:
        _predecessor(ds, first, given)
    return ds


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


class _Groups:
    """Builds the measurement groups of one report."""

    def __init__(self, given: ReportInput, sources: Sequence[Dataset]) -> None:
        self._given = given
        self._sources = sources
        self._parts = given.uid_parts("tracking")

    def scores(self) -> list[MeasurementsAndQualitativeEvaluations]:
        """One group for each score, member and band, the whole before its parts."""
        scored = self._given.scored
        if scored is None:
            return []
        values = [f for f in scored.findings if isinstance(f, Value)]
        bands = [f for f in scored.findings if isinstance(f, Category)]
        flags = [f for f in scored.findings if isinstance(f, QualityFlag)]
        groups = [self._score(v, flags if i == 0 else []) for i, v in enumerate(values)]
        return groups + [self._band(b) for b in bands]

    def refusal(self) -> list[MeasurementsAndQualitativeEvaluations]:
        """A single group that says why there is no score."""
        refused = self._given.refused
        if refused is None:
            return []
        reason = CodedConcept(
            f"RA-{_short(refused.reason.value)}", codes.SCHEME, refused.text[:_MEANING_LIMIT]
        )
        return [
            self._group(
                "Not analysed", codes.own("RA0402"), Side.UNKNOWN, "gate", "1", [],
                [QualitativeEvaluation(codes.own("RA0303"), reason)],
            )
        ]  # fmt: skip

    def retraction(self) -> list[MeasurementsAndQualitativeEvaluations]:
        """A single group: the report named as predecessor must not be used, and why."""
        said = [_statement("RA-S5", "The earlier report must not be used")]
        return [
            self._group(
                "Result retracted", codes.own("RA0403"), Side.UNKNOWN, "retraction", "1", [], said,
                [f"reason: {self._given.retracted}"],
            )
        ]  # fmt: skip

    def _score(
        self, value: Value, flags: Sequence[QualityFlag]
    ) -> MeasurementsAndQualitativeEvaluations:
        concept = CodedConcept(*value.code)
        member = value.kind == "svdh_member"
        # Another plugin's value is no SvdH score: nothing that is true of the score is said of it.
        ours = value.kind.startswith("svdh_")
        stacked, unit = ours and not member, codes.unit(value.units)
        numbers = [
            self._number(
                concept, value.value, codes.MEAN if stacked else None,
                codes.own("RA0201") if stacked else None, unit=unit,
            )
        ]  # fmt: skip
        if value.interval is not None:
            for code, limit in (("RA0211", value.interval.low), ("RA0212", value.interval.high)):
                numbers.append(self._number(codes.own(code), limit, codes.own(code), unit=unit))
        if value.spread is not None:
            spread = codes.own("RA0213")
            numbers.append(self._number(spread, value.spread, spread, unit=unit))
        said: list[QualitativeEvaluation] = []
        if stacked:
            said.append(_statement("RA-S1", ZERO_STATEMENT))
        if not member and value.model.demonstration:
            said.append(_statement("RA-S2", "Demonstration model, not for clinical use"))
        said += [
            QualitativeEvaluation(
                codes.own("RA0301"),
                CodedConcept(f"RA-{_short(f.code)}", codes.SCHEME, f.text[:_MEANING_LIMIT]),
            )
            for f in flags
        ]
        name = f"SvdH {value.label}" if member else value.label
        parameters = [
            f"bundle {value.model.bundle} {value.model.version} sha256 {value.model.digest[:16]}",
            f"engine {value.model.engine} {value.model.precision}",
            f"intended use: {value.model.intended_use}",
        ]
        if value.model.demonstration:
            parameters.append(DEMONSTRATION)
        algorithm = f"{value.model.bundle}/{value.label}" if member else value.model.bundle
        finding = codes.own("RA0401") if ours else concept
        return self._group(
            name, finding, value.side, algorithm, value.model.version, numbers, said, parameters,
        )  # fmt: skip

    def _band(self, band: Category) -> MeasurementsAndQualitativeEvaluations:
        edges = ", ".join(f"{e:g}" for e in band.edges)
        said = [
            QualitativeEvaluation(
                codes.own("RA0101"), CodedConcept(f"RA-B{band.index}", codes.SCHEME, band.label)
            ),
            _statement("RA-S3", f"Upper edges {edges}"),
            _statement("RA-S4", f"Reference: {band.reference}"),
        ]
        numbers = [
            self._number(
                CodedConcept(f"RA0103-{k}", codes.SCHEME, f"Probability of damage band {k}"), p
            )
            for k, p in enumerate(band.probabilities, start=1)
        ]
        return self._group(
            "Damage band", codes.own("RA0401"), band.side, band.model.bundle, band.model.version,
            numbers, said,
        )  # fmt: skip

    def _number(
        self, name: CodedConcept, value: float, derivation: CodedConcept | None = None,
        method: CodedConcept | None = None, unit: CodedConcept = codes.NO_UNITS,
    ) -> Measurement:  # fmt: skip
        """A NUM; the method stands on it, never on its group (a known fault of the library)."""
        source = self._sources[0]
        return Measurement(
            name=name,
            value=round(value, 4),
            unit=unit,
            derivation=derivation,
            method=method,
            referenced_images=[
                SourceImageForMeasurement(source.SOPClassUID, source.SOPInstanceUID)
            ],
        )

    def _group(
        self, identifier: str, finding: CodedConcept, side: Side, algorithm: str, version: str,
        numbers: Sequence[Measurement], said: Sequence[QualitativeEvaluation],
        parameters: Sequence[str] = (),
    ) -> MeasurementsAndQualitativeEvaluations:  # fmt: skip
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(
                uid=derive_uid(*self._parts, identifier, side.value), identifier=identifier
            ),
            finding_type=finding,
            finding_sites=[FindingSite(codes.HAND, laterality=self._laterality(side))],
            algorithm_id=AlgorithmIdentification(
                name=algorithm, version=version, parameters=list(parameters) or None
            ),
            measurements=list(numbers) or None,
            qualitative_evaluations=list(said) or None,
            source_images=[
                SourceImageForMeasurementGroup(s.SOPClassUID, s.SOPInstanceUID)
                for s in self._sources[:1]
            ],
        )

    def _laterality(self, side: Side) -> CodedConcept | None:
        if side is Side.LEFT:
            return codes.LEFT
        if side is Side.RIGHT:
            return codes.RIGHT
        scored = self._given.scored
        both = scored is not None and scored.hands == "both"
        return codes.BILATERAL if both and side is Side.UNKNOWN else None


def _statement(value: str, text: str) -> QualitativeEvaluation:
    concept = CodedConcept(value, codes.SCHEME, text[:_MEANING_LIMIT])
    return QualitativeEvaluation(codes.own("RA0304"), concept)


def _short(code: str) -> str:
    """A code value of at most 16 characters with its prefix."""
    return code.upper().replace("_", "")[:12]


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
