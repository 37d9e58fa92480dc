"""Compare both sides: what the modality sent, the database, and the files of the PACS."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from ra_daemon.commands.demo.modality import SCORED, Sent
from ra_daemon.commands.demo.node import DemoNode
from ra_daemon.commands.demo.pacs import MiniPacs

_RESULTS = """
SELECT outcome_id, source_sha256, sop_instance_uid, kind, label, value, low, high
FROM v1_results WHERE status = 'current' AND role = 'active'
"""
_REFUSALS = """
SELECT outcome_id, source_sha256, reason_code, reason FROM v1_refusals
WHERE status = 'current' AND role = 'active'
"""


@dataclass(slots=True, kw_only=True)
class Line:
    """One sent object and what both sides know of it."""

    sent: Sent
    score: float | None = None
    low: float | None = None
    high: float | None = None
    band: str = ""
    reason: str = ""
    reason_code: str = ""
    reports: list[Path] = field(default_factory=list)
    captures: list[Path] = field(default_factory=list)
    verdicts: set[int] = field(default_factory=set)

    @property
    def verdict(self) -> str:
        """``scored``, the code of a refusal, or ``none``."""
        return SCORED if self.score is not None else self.reason_code or "none"

    @property
    def unexpected(self) -> bool:
        """Another verdict than an object of this kind must get."""
        return self.verdict != self.sent.expected

    @property
    def lost(self) -> bool:
        """Neither scored nor refused, or a result without both objects in the PACS."""
        if self.score is None:
            return not self.reason_code
        return not (self.reports and self.captures)

    @property
    def doubled(self) -> int:
        """Verdicts, reports and captures beyond one."""
        found = (len(self.verdicts), len(self.reports), len(self.captures))
        return sum(max(0, number - 1) for number in found)


def reconcile(sent: Sequence[Sent], node: DemoNode, pacs: MiniPacs) -> list[Line]:
    """One line for each sent object, in the order of subjects and visits."""
    lines = {s.digest: Line(sent=s) for s in sent}
    by_uid: dict[str, Line] = {}
    for row in node.rows(_RESULTS):
        line = lines.get(row["source_sha256"])
        if line is None:
            continue
        by_uid[row["sop_instance_uid"]] = line
        line.verdicts.add(row["outcome_id"])
        if row["kind"] == "severity":
            line.band = str(row["label"]).removeprefix("damage band ")
        elif row["low"] is not None and (row["kind"] == "svdh_total" or line.score is None):
            line.score, line.low, line.high = row["value"], row["low"], row["high"]
    for row in node.rows(_REFUSALS):
        line = lines.get(row["source_sha256"])
        if line is not None:
            line.reason_code, line.reason = row["reason_code"], row["reason"]
            line.verdicts.add(row["outcome_id"])
    for path in pacs.files():
        _attach(path, by_uid)
    return sorted(
        lines.values(), key=lambda n: (n.sent.truth is None, n.sent.subject, n.sent.visit)
    )


def summary(
    lines: Sequence[Line], pacs: MiniPacs, node: DemoNode, *, seconds: float
) -> dict[str, Any]:
    """The figures of summary.json, all counted, none assumed."""
    scored = [n for n in lines if n.score is not None]
    strangers = len(pacs.files()) - sum(len(n.reports) + len(n.captures) for n in lines)
    pairs = [(n.sent.truth, n.score) for n in scored if n.sent.truth is not None]
    return {
        "sent": len(lines),
        "received": node.counts()["received"],
        "scored": len(scored),
        "refused": sum(bool(n.reason_code) for n in lines),
        "lost": sum(n.lost for n in lines),
        "unexpected": sum(n.unexpected for n in lines),
        "duplicates": sum(n.doubled for n in lines) + max(0, strangers),
        "seconds": round(seconds, 1),
        "pcc": _pcc(pairs),
        "objects": len(pacs.files()),
        "resent": sum(number - 1 for number in pacs.arrivals.values()),
        "refusals": dict(Counter(n.reason_code for n in lines if n.reason_code)),
    }


def _attach(path: Path, by_uid: dict[str, Line]) -> None:
    """Give a file of the PACS to the image that it refers to."""
    ds = dcmread(path, stop_before_pixels=True)
    for uid in _sources(ds):
        line = by_uid.get(uid)
        if line is not None:
            (line.reports if ds.Modality == "SR" else line.captures).append(path)
            return


def _sources(ds: Dataset) -> list[str]:
    found = [str(i.ReferencedSOPInstanceUID) for i in ds.get("SourceImageSequence") or ()]
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.get("ReferencedSeriesSequence") or ():
            found += [str(i.ReferencedSOPInstanceUID) for i in series.ReferencedSOPSequence]
    return found


def _pcc(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    truth = [t for t, s in pairs if t is not None and s is not None]
    score = [s for t, s in pairs if t is not None and s is not None]
    if len(truth) < 3 or len(set(truth)) < 2 or len(set(score)) < 2:
        return None
    return round(statistics.correlation(truth, score), 4)
