"""The numeric gate: an engine is used only when it says what the FP32 reference says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ra_engine.contracts import Session
from ra_engine.errors import BackendError
from ra_engine.spec import Precision

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits against FP32: score units of SvdH (worst image, mean), least map correlation."""

    worst: float
    mean: float
    cam: float


TOLERANCES: Mapping[Precision, Tolerance] = {
    "fp32": Tolerance(worst=0.05, mean=0.01, cam=0.999),
    "fp16": Tolerance(worst=0.5, mean=0.1, cam=0.99),
    "bf16": Tolerance(worst=0.5, mean=0.1, cam=0.99),
    "int8": Tolerance(worst=1.0, mean=0.3, cam=0.99),
}
"""FP32 of another runtime sums in another order: a tenth of what FP16 may."""


_BEYOND = 1e9  # another shape or not finite: no number that JSON knows would be large enough


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What the gate measured over ``images`` images.

    Attributes:
        worst, mean: largest and mean absolute difference of the score; of every output's largest
            absolute value 1 when the graph has no score, see ``measure``.
        cam: least correlation of an image's raw map; None without maps that show something.
        passed: whether all figures are within the precision's tolerance.
    """

    precision: Precision
    images: int
    worst: float
    mean: float
    cam: float | None
    passed: bool

    @property
    def words(self) -> str:
        """One line for people."""
        limit = TOLERANCES[self.precision]
        cam = "no map" if self.cam is None else f"map correlation {self.cam:.4f} >= {limit.cam:g}"
        return (
            f"score within {self.worst:.3f} <= {limit.worst:g}, mean {self.mean:.3f} <= "
            f"{limit.mean:g}, {cam}, {self.images} images"
        )


def gate(
    session: Session,
    reference: Session,
    images: NDArray[np.float32],
    precision: Precision,
    *,
    evidence: float = 0.0,
) -> GateReport:
    """Run both sessions on stored images and compare.

    Args:
        images: (n, 1, rows, columns), n >= 1.
        evidence: see ``Samples.evidence``.

    Raises:
        BackendError: a session fails, or there are no images.
    """
    if len(images) == 0:
        raise BackendError("The numeric gate needs images.")
    return measure(session.run(images), reference.run(images), precision, evidence=evidence)


def measure(
    found: Arrays, truth: Arrays, precision: Precision, *, evidence: float = 0.0
) -> GateReport:
    """Compare outputs of an engine with those of the reference.

    ``score`` (n,) is compared in its units and ``cam`` (n, h, w) by Pearson's correlation of each
    image's raw map. A graph without a score is compared output by output as a share of the
    reference's largest absolute value, against the same limits divided by 10.
    """
    names = sorted(truth)
    if sorted(found) != names or any(found[n].shape != truth[n].shape for n in names):
        return _report(precision, len(next(iter(truth.values()))), np.array([_BEYOND]), None)
    if not all(np.isfinite(found[n]).all() for n in names):
        return _report(precision, len(truth[names[0]]), np.array([_BEYOND]), None)
    if "score" in truth:
        apart = np.abs(found["score"].astype(np.float64) - truth["score"])
    else:
        apart = np.array([10 * _relative(found[n], truth[n]) for n in names if n != "cam"] or [0.0])
    cams = _correlations(found["cam"], truth["cam"], evidence) if "cam" in truth else []
    return _report(precision, len(truth[names[0]]), apart, min(cams, default=None))


def _report(
    precision: Precision, images: int, apart: NDArray[np.float64], cam: float | None
) -> GateReport:
    limit, worst, mean = TOLERANCES[precision], float(apart.max()), float(apart.mean())
    passed = worst <= limit.worst and mean <= limit.mean and (cam is None or cam >= limit.cam)
    return GateReport(
        precision=precision, images=images, worst=worst, mean=mean, cam=cam, passed=passed
    )


def _relative(found: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    scale = float(np.abs(truth).max()) or 1.0
    return float(np.abs(found.astype(np.float64) - truth).max()) / scale


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
