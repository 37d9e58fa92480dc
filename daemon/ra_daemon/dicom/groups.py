"""The measurement groups of a report (TID 1501): what each says, and of which images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    Measurement,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from pydicom import Dataset

from ra_daemon.dicom import codes
from ra_daemon.dicom.common import interval_words
from ra_daemon.dicom.reference import DEMONSTRATION
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.dicom.uids import derive_uid
from ra_engine.types import Category, ModelRef, QualityFlag, Side
from ra_engine.types import Measurement as Value

Text = tuple[str, str]
"""Code value of the concept name, and the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What gave a group's content."""

    name: str
    version: str
    parameters: Sequence[str] = ()

    @classmethod
    def of(cls, model: ModelRef, member: str = "") -> Algorithm:
        """A model, or one member of it."""
        parameters = [
            f"bundle {model.bundle} {model.version} sha256 {model.digest[:16]}",
            f"engine {model.engine} {model.precision}",
            f"intended use: {model.intended_use}",
        ]
        if model.demonstration:
            parameters.append(DEMONSTRATION)
        name = f"{model.bundle}/{member}" if member else model.bundle
        return cls(name=name, version=model.version, parameters=parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """One group before it is DICOM; ``view`` None: it is about all images."""

    identifier: str
    finding: CodedConcept
    algorithm: Algorithm
    view: int | None = None
    side: Side = Side.UNKNOWN
    numbers: Sequence[Measurement] = ()
    said: Sequence[QualitativeEvaluation] = ()
    texts: Sequence[Text] = field(default_factory=tuple)


class Groups:
    """Builds the measurement groups of one report.

    Args:
        given: the result.
        sources: the image; the two images of an aggregate in the order of its views; of a
            retraction all that the retracted report names.
    """

    def __init__(self, given: ReportInput, sources: Sequence[Dataset]) -> None:
        self._given = given
        self._sources = sources
        self._parts = given.uid_parts("tracking")

    def scores(self) -> list[Group]:
        """One group for each score, member and band, the whole before its parts."""
        scored = self._given.scored
        if scored is None:
            return []
        values = [f for f in scored.findings if isinstance(f, Value)]
        bands = [f for f in scored.findings if isinstance(f, Category)]
        flags = [(_owner(f, values), f) for f in scored.findings if isinstance(f, QualityFlag)]
        groups = [
            self._score(v, [flag for owner, flag in flags if owner == i])
            for i, v in enumerate(values)
        ]
        return groups + [self._band(b) for b in bands]

    def refusal(self) -> list[Group]:
        """A single group that says why there is no score."""
        refused = self._given.refused
        if refused is None:
            return []
        reason = codes.own(codes.REASONS[refused.reason])
        content = _Content(
            identifier="Not analysed",
            finding=codes.own("RA0402"),
            algorithm=Algorithm(name="gate", version="1"),
            said=[QualitativeEvaluation(codes.own("RA0303"), reason)],
            texts=[("RA0305", refused.detail)] if refused.detail else [],
        )
        return [self._group(content)]

    def retraction(self) -> list[Group]:
        """A single group: the report named as predecessor must not be used, and why."""
        why = f"reason: {self._given.retracted}"
        content = _Content(
            identifier="Result retracted",
            finding=codes.own("RA0403"),
            algorithm=Algorithm(name="retraction", version="1", parameters=[why]),
            said=[_statement("RA0323")],
        )
        return [self._group(content)]

    def _score(self, value: Value, flags: Sequence[QualityFlag]) -> Group:
        concept = CodedConcept(*value.code)
        member = value.kind == "svdh_member"
        # Another plugin's value is no SvdH score: nothing that is true of the score is said of it.
        ours = value.kind.startswith("svdh_")
        said: list[QualitativeEvaluation] = []
        if ours and not member:
            said.append(_statement("RA0321"))
        if not member and value.model.demonstration:
            said.append(_statement("RA0322"))
        if not member:
            said.append(self._laterality_source(value.view))
        said += [
            QualitativeEvaluation(codes.own("RA0301"), codes.own(codes.FLAGS[f.code]))
            for f in flags
            if f.code in codes.FLAGS
        ]
        texts = [("RA0301", f"{f.code}: {f.text}") for f in flags if f.code not in codes.FLAGS]
        if value.interval is not None:
            texts.insert(0, ("RA0214", interval_words(value.interval)))
        content = _Content(
            identifier=f"SvdH {value.label}" if member else value.label,
            finding=codes.own("RA0401") if ours else concept,
            algorithm=Algorithm.of(value.model, value.label if member else ""),
            view=value.view,
            side=value.side,
            numbers=self._numbers(value, concept, stacked=ours and not member),
            said=said,
            texts=texts,
        )
        return self._group(content)

    def _numbers(self, value: Value, concept: CodedConcept, *, stacked: bool) -> list[Measurement]:
        """The value, and its limits and spread under concepts of their own."""
        unit = codes.unit(value.units)
        mean, method = (codes.MEAN, codes.own("RA0201")) if stacked else (None, None)
        numbers = [self._number(concept, value.value, value.view, unit, mean, method)]
        more: list[tuple[str, float]] = []
        if value.interval is not None:
            more += [("RA0211", value.interval.low), ("RA0212", value.interval.high)]
        if value.spread is not None:
            more.append(("RA0213", value.spread))
        for code, number in more:
            name = codes.own(code)
            numbers.append(self._number(name, number, value.view, unit, name))
        return numbers

    def _band(self, band: Category) -> Group:
        """Band k of K, how many there are, their edges and on whom they rest."""
        concept, count = CodedConcept(*band.code), len(band.edges) + 1
        ours = band.kind == "severity"
        value, share = ("RA0110", "RA0103") if ours else ("RA0120", "RA0121")
        numbers = [self._number(codes.own("RA0102"), count, band.view)] if ours else []
        numbers += [
            self._number(codes.counted(share, k, count), p, band.view)
            for k, p in enumerate(band.probabilities, start=1)
        ]
        said = [QualitativeEvaluation(concept, codes.counted(value, band.index, count))]
        if band.model.demonstration:
            said.append(_statement("RA0322"))
        edges = f"upper edges {', '.join(f'{e:g}' for e in band.edges)}; {band.reference}"
        content = _Content(
            identifier="Damage band" if ours else band.label,
            finding=codes.own("RA0401") if ours else concept,
            algorithm=Algorithm.of(band.model),
            view=band.view,
            side=band.side,
            numbers=numbers,
            said=said,
            texts=[("RA0104" if ours else "RA0305", edges)],
        )
        return self._group(content)

    def _number(
        self, name: CodedConcept, value: float, view: int | None,
        unit: CodedConcept = codes.NO_UNITS, derivation: CodedConcept | None = None,
        method: CodedConcept | None = None,
    ) -> Measurement:  # fmt: skip
        """A NUM; the method stands on it, never on its group (a known fault of the library)."""
        return Measurement(
            name=name,
            value=round(value, 4),
            unit=unit,
            derivation=derivation,
            method=method,
            referenced_images=[
                SourceImageForMeasurement(s.SOPClassUID, s.SOPInstanceUID) for s in self._of(view)
            ],
        )

    def _group(self, content: _Content) -> Group:
        algorithm, side = content.algorithm, content.side
        group = Group(
            tracking_identifier=TrackingIdentifier(
                uid=derive_uid(*self._parts, content.identifier, side.value),
                identifier=content.identifier,
            ),
            finding_type=content.finding,
            finding_sites=[FindingSite(codes.HAND, laterality=self._laterality(side))],
            algorithm_id=AlgorithmIdentification(
                name=algorithm.name,
                version=algorithm.version,
                parameters=list(algorithm.parameters) or None,
            ),
            measurements=list(content.numbers) or None,
            qualitative_evaluations=list(content.said) or None,
            source_images=[
                SourceImageForMeasurementGroup(s.SOPClassUID, s.SOPInstanceUID)
                for s in self._of(content.view)
            ],
        )
        for name, words in content.texts:  # the library has no such argument
            item = TextContentItem(codes.own(name), words, relationship_type="CONTAINS")
            group[0].ContentSequence.append(item)
        return group

    def _of(self, view: int | None) -> Sequence[Dataset]:
        """The images that something about ``view`` was measured on."""
        if view is None or len(self._sources) == 1:
            return self._sources
        return self._sources[view : view + 1]

    def _laterality(self, side: Side) -> CodedConcept | None:
        if side is Side.LEFT:
            return codes.LEFT
        if side is Side.RIGHT:
            return codes.RIGHT
        scored = self._given.scored
        both = scored is not None and scored.hands == "both"
        return codes.BILATERAL if both and side is Side.UNKNOWN else None

    def _laterality_source(self, view: int | None) -> QualitativeEvaluation:
        scored, source, disputed = self._given.scored, "", False
        if scored is not None:
            known = view is not None and view < len(scored.views)
            source = scored.views[view or 0].side_source if known else scored.laterality_source
            disputed = any(getattr(f, "code", "") == "laterality_conflict" for f in scored.findings)
        value = codes.LATERALITY.get(source, codes.LATERALITY_UNKNOWN)
        value = codes.LATERALITY_DISPUTED if disputed else value
        return QualitativeEvaluation(codes.own("RA0302"), codes.own(value))


def _owner(flag: QualityFlag, values: Sequence[Value]) -> int:
    """Index of the value that a flag is told with: the score of its view, else the first."""
    if flag.view is None:
        return 0
    scores = (i for i, v in enumerate(values) if v.view == flag.view and v.kind != "svdh_member")
    return next(scores, 0)


def _statement(value: str) -> QualitativeEvaluation:
    return QualitativeEvaluation(codes.own("RA0304"), codes.own(value))
