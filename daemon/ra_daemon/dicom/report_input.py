"""What a report is made from. Everything that decides its bytes is in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from ra_daemon.domain import Refused, Scored
from ra_engine.types import Heatmap, Measurement

SrClass = Literal["comprehensive3d", "comprehensive", "enhanced"]
SR_CLASSES: Mapping[str, SrClass] = {
    Comprehensive3DSRStorage: "comprehensive3d",
    ComprehensiveSRStorage: "comprehensive",
    EnhancedSRStorage: "enhanced",
}
"""By SOP class UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """One result on its way to DICOM.

    Attributes:
        sources: file of the image, or of the two images of an aggregate in the order of its views.
        source_digests: data-set sha256 of each, in the same order.
        created_at: UTC; every date and time of the objects comes from it.
        predecessor_uid: SOP instance UID of the report that this one replaces; its class and kind
            (``sr``, ``refusal`` or ``retraction``) say in which series it lies, and whether a
            demonstration made it is what its retraction says too.
        retracted: why the predecessor must not be used: then this is its retraction, and
            ``sources`` is the predecessor's file.
        salt: extra part of every UID; "" on a node, random for ``ra-daemon score``.
    """

    sources: tuple[Path, ...]
    source_digests: tuple[str, ...]
    created_at: datetime
    pipeline_digest: str
    scored: Scored | None = None
    refused: Refused | None = None
    serial_number: str = "ra-daemon-1"
    software_version: str = "0"
    sr_class: SrClass = "comprehensive3d"
    predecessor_uid: str | None = None
    predecessor_class_uid: str = ""
    predecessor_kind: str = "sr"
    predecessor_demonstration: bool = False
    retracted: str | None = None
    salt: str = ""

    @property
    def engine(self) -> str:
        """Session key of the score graph, "" without a score."""
        for finding in self.scored.findings if self.scored else ():
            if isinstance(finding, Measurement):
                return finding.model.engine
        return ""

    @property
    def demonstration(self) -> bool:
        """Whether any model in it, or in what it retracts, is a demonstration."""
        if self.retracted is not None:
            return self.predecessor_demonstration
        found = self.scored.findings if self.scored else ()
        return any(f.model.demonstration for f in found if isinstance(f, (Measurement, Heatmap)))

    @property
    def kind(self) -> str:
        """``sr``, ``refusal`` or ``retraction``."""
        if self.retracted is not None:
            return "retraction"
        return "refusal" if self.refused is not None else "sr"

    def uid_parts(self, kind: str) -> tuple[str, ...]:
        """What the UID of an object of ``kind`` derives from."""
        return (kind, *self.source_digests, self.pipeline_digest, self.engine, self.salt)
