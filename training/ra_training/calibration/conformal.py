"""Split-conformal intervals by band of the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LAST = 1e9
"""Upper limit of the last band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformal:
    """Half-widths by band of the prediction, as a bundle's manifest holds them.

    Attributes:
        level: nominal coverage; upper: upper limits of the bands, the last one ``LAST``;
        low, high: what goes below and above a prediction, never negative; n: calibration cases.
    """

    level: float
    upper: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int

    def table(self) -> dict[str, object]:
        """Plain lists, for a manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Conformal:
        """From ``table``."""
        return cls(
            level=float(table["level"]), upper=tuple(table["upper"]), low=tuple(table["low"]),
            high=tuple(table["high"]), n=int(table["n"]),
        )  # fmt: skip

    def band(self, predicted: Array) -> NDArray[np.intp]:
        """(n,) band of each prediction."""
        return np.searchsorted(np.asarray(self.upper), predicted, side="left").astype(np.intp)

    def limits(
        self, predicted: Array, *, floor: float = -np.inf, ceiling: float = np.inf
    ) -> tuple[Array, Array]:
        """Lower and upper limits (n,), cut to the range of the score."""
        g = self.band(predicted)
        low, high = np.asarray(self.low)[g], np.asarray(self.high)[g]
        return np.maximum(floor, predicted - low), np.minimum(ceiling, predicted + high)

    def covers(self, predicted: Array, truth: Array) -> NDArray[np.bool_]:
        """(n,) whether each truth lies in its interval."""
        low, high = self.limits(predicted)
        inside: NDArray[np.bool_] = (truth >= low) & (truth <= high)
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What intervals did on other cases.

    Attributes:
        overall: share covered; bands: numbers of the predicted bands with cases; by_band: share
            covered in each of these; counts: their cases; width: mean width.
    """

    overall: float
    bands: tuple[int, ...]
    by_band: tuple[float, ...]
    counts: tuple[int, ...]
    width: float


def fit(predicted: Array, truth: Array, *, level: float = 0.9, bands: int = 6) -> Conformal:
    """Mondrian split conformal: equal-count bands of the prediction, each tail on its own.

    Each side takes the ceil((n + 1) (1 + level) / 2)-th smallest signed residual of its band, so
    that in every band at least ``level`` of exchangeable cases are covered (Vovk; Romano 2019). A
    band with fewer cases than that rank takes its largest residual.

    Args:
        predicted, truth: (n,), of cases that no weight and no stack was fitted on.
    """
    # Rounded before they are used, so that a case on an edge is in the band that a reader sees.
    edges = np.unique(np.round(np.quantile(predicted, np.linspace(0, 1, bands + 1)[1:-1]), 3))
    groups = np.searchsorted(edges, predicted, side="left")
    residual = truth - predicted
    kept, low, high = [], [], []
    for g in range(len(edges) + 1):
        r = np.sort(residual[groups == g])
        if not len(r):  # ties at the last edge leave nothing above it
            continue
        rank = min(len(r), int(np.ceil((len(r) + 1) * (1 + level) / 2)))
        high.append(_outward(r[rank - 1]))
        low.append(_outward(-r[len(r) - rank]))
        kept.append(float(edges[g]) if g < len(edges) else LAST)
    return Conformal(
        level=level, upper=(*kept[:-1], LAST), low=tuple(low), high=tuple(high), n=len(predicted)
    )


def _outward(width: float) -> float:
    """A half-width in three digits, never narrower than it is."""
    return round(float(np.ceil(max(0.0, float(width)) * 1000 - 1e-6)) / 1000, 3)


def coverage(
    fitted: Conformal, predicted: Array, truth: Array,
    *, floor: float = 0.0, ceiling: float = 280.0,
) -> Coverage:  # fmt: skip
    """Coverage and width on cases that the intervals were not fitted on."""
    inside, group = fitted.covers(predicted, truth), fitted.band(predicted)
    low, high = fitted.limits(predicted, floor=floor, ceiling=ceiling)
    present = [g for g in range(len(fitted.upper)) if (group == g).any()]
    return Coverage(
        overall=float(inside.mean()),
        bands=tuple(present),
        by_band=tuple(float(inside[group == g].mean()) for g in present),
        counts=tuple(int((group == g).sum()) for g in present),
        width=float((high - low).mean()),
    )
