"""The numeric gate: an engine is used only when it says what the FP32 reference says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ra_engine.contracts import Session
from ra_engine.errors import BackendError
from ra_engine.spec import Precision

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits against FP32.

    Attributes:
        worst, mean: of the score and of each member, in units of SvdH: worst image, mean.
        logit: largest change of a class logit; one of d moves a probability by tanh(d / 4) at most,
            whatever the other hand adds to it.
        cam: least correlation of an image's map.
        place: largest change of a place of a map, as a share of its image's peak or of the evidence
            threshold, whichever is higher.
    """

    worst: float
    mean: float
    logit: float
    cam: float
    place: float


TOLERANCES: Mapping[Precision, Tolerance] = {
    "fp32": Tolerance(worst=0.05, mean=0.01, logit=0.01, cam=0.999, place=0.005),
    "fp16": Tolerance(worst=0.5, mean=0.1, logit=0.1, cam=0.99, place=0.05),
    "bf16": Tolerance(worst=0.5, mean=0.1, logit=0.1, cam=0.99, place=0.05),
    "int8": Tolerance(worst=1.0, mean=0.3, logit=0.4, cam=0.99, place=0.2),
}
"""FP32 of another runtime sums in another order: a tenth of what FP16 may."""


_BEYOND = 1e9  # another shape or not finite: no number that JSON knows would be large enough
_JUDGED = frozenset({"score", "members", "class_logits", "cam"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What the gate measured over ``images`` images; None: the graph has no such output.

    Attributes:
        worst, mean: largest and mean absolute difference of the score. Outputs that have no limit
            of their own count too, see ``measure``.
        members, members_mean: the same of the member that departs furthest.
        logits: largest absolute difference of a class logit.
        cam: least correlation of an image's raw map; None without maps that show something.
        place: largest change of a place of a map, see ``Tolerance``.
        passed: whether all figures are within the precision's tolerance.
    """

    precision: Precision
    images: int
    worst: float
    mean: float
    members: float | None = None
    members_mean: float | None = None
    logits: float | None = None
    cam: float | None = None
    place: float | None = None
    passed: bool

    @property
    def words(self) -> str:
        """One line for people: every figure with its limit."""
        limit = TOLERANCES[self.precision]
        parts = [f"score within {self.worst:.3f} <= {limit.worst:g}"]
        parts.append(f"mean {self.mean:.3f} <= {limit.mean:g}")
        if self.members is not None and self.members_mean is not None:
            parts.append(f"members within {self.members:.3f} <= {limit.worst:g}")
            parts.append(f"mean {self.members_mean:.3f} <= {limit.mean:g}")
        if self.logits is not None:
            parts.append(f"logits within {self.logits:.3f} <= {limit.logit:g}")
        if self.cam is None:
            parts.append("no map")
        else:
            parts.append(f"map correlation {self.cam:.4f} >= {limit.cam:g}")
        if self.place is not None:
            parts.append(f"map within {self.place:.3f} <= {limit.place:g} of its peak")
        return ", ".join([*parts, f"{self.images} images"])


def gate(
    session: Session,
    reference: Session,
    images: NDArray[np.float32],
    precision: Precision,
    *,
    evidence: float = 0.0,
) -> GateReport:
    """Run both sessions on stored images and compare: all images together, and each alone.

    A node runs batches of any size, and an engine may have other kernels for a single image.

    Args:
        images: (n, 1, rows, columns), n >= 1.
        evidence: see ``Samples.evidence``.

    Raises:
        BackendError: a session fails, or there are no images.
    """
    if len(images) == 0:
        raise BackendError("The numeric gate needs images.")
    truth, together = reference.run(images), session.run(images)
    rows = [session.run(images[i : i + 1]) for i in range(len(images))]
    alone = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return _worse(
        measure(together, truth, precision, evidence=evidence),
        measure(alone, truth, precision, evidence=evidence),
    )


def measure(
    found: Arrays,
    truth: Arrays,
    precision: Precision,
    *,
    evidence: float = 0.0,
    share: float = 1.0,
) -> GateReport:
    """Compare every output of an engine with the reference's.

    ``score`` (n,) and ``members`` (n, members) are compared in their units, ``class_logits``
    (n, bands) as they are, and ``cam`` (n, h, w) by Pearson's correlation of each image's raw map
    and by the largest change of a place: a correlation sees neither scale nor offset, and threshold
    and colours are absolute. Any other output is compared as a share of the reference's largest
    absolute value, against the score's limits divided by 10.

    Args:
        evidence: see ``Samples.evidence``.
        share: of every limit that may be used, 0 < share <= 1.
    """
    names, images = sorted(truth), len(next(iter(truth.values())))
    if sorted(found) != names or any(
        found[n].shape != truth[n].shape or not np.isfinite(found[n]).all() for n in names
    ):
        return GateReport(
            precision=precision, images=images, worst=_BEYOND, mean=_BEYOND, passed=False
        )
    apart = {n: np.abs(found[n].astype(np.float64) - truth[n]) for n in names}
    shares = np.array([10 * _share(apart[n], truth[n]) for n in names if n not in _JUDGED] or [0.0])
    score = apart.get("score", np.zeros(1))
    members, logits = apart.get("members"), apart.get("class_logits")
    maps = (found["cam"], truth["cam"]) if "cam" in truth else None
    return _judged(
        GateReport(
            precision=precision,
            images=images,
            worst=float(max(score.max(), shares.max())),
            mean=float(max(score.mean(), shares.mean())),
            members=None if members is None else float(members.max()),
            members_mean=None if members is None else float(members.mean(axis=0).max()),
            logits=None if logits is None else float(logits.max()),
            cam=None if maps is None else min(_correlations(*maps, evidence), default=None),
            place=None if maps is None else float(_changes(*maps, evidence).max()),
            passed=False,
        ),
        share,
    )


def _judged(report: GateReport, share: float = 1.0) -> GateReport:
    """The report with its verdict."""
    limit = TOLERANCES[report.precision]
    kept = [
        report.worst <= share * limit.worst,
        report.mean <= share * limit.mean,
        report.members is None or report.members <= share * limit.worst,
        report.members_mean is None or report.members_mean <= share * limit.mean,
        report.logits is None or report.logits <= share * limit.logit,
        report.cam is None or 1 - report.cam <= share * (1 - limit.cam),
        report.place is None or report.place <= share * limit.place,
    ]
    return replace(report, passed=all(kept))


def _worse(one: GateReport, other: GateReport) -> GateReport:
    """Of each figure the one that is further from the reference."""

    def most(name: str) -> float | None:
        found = [v for r in (one, other) if (v := getattr(r, name)) is not None]
        return max(found, default=None)

    return _judged(
        replace(
            one,
            worst=max(one.worst, other.worst),
            mean=max(one.mean, other.mean),
            members=most("members"),
            members_mean=most("members_mean"),
            logits=most("logits"),
            cam=min((c for c in (one.cam, other.cam) if c is not None), default=None),
            place=most("place"),
        )
    )


def _share(apart: NDArray[np.float64], truth: NDArray[np.float32]) -> float:
    return float(apart.max()) / (float(np.abs(truth).max()) or 1.0)


def _changes(
    found: NDArray[np.float32], truth: NDArray[np.float32], evidence: float
) -> NDArray[np.float64]:
    """One an image: its largest change over its peak, or over the threshold if that is higher."""
    peaks = np.abs(truth.astype(np.float64)).max(axis=(1, 2))
    least = evidence or 1e-3 * float(peaks.max()) or 1.0
    apart = np.abs(found.astype(np.float64) - truth).max(axis=(1, 2))
    changes: NDArray[np.float64] = apart / np.maximum(peaks, least)
    return changes


def _correlations(
    found: NDArray[np.float32], truth: NDArray[np.float32], evidence: float
) -> list[float]:
    """One an image; maps that are flat or below ``evidence`` in the reference are left out."""
    rows = []
    for mine, theirs in zip(found.astype(np.float64), truth.astype(np.float64), strict=True):
        spread = float(theirs.max() - theirs.min())
        if float(np.abs(theirs).max()) < max(evidence, 1e-12) or spread <= 1e-6 * evidence:
            continue
        a, b = mine - mine.mean(), theirs - theirs.mean()
        norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
        if float((b * b).sum()) == 0.0:
            continue
        rows.append(float((a * b).sum()) / norm if norm else 0.0)
    return rows
