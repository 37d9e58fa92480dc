"""Two bundles on the same images: the paired difference.

Bland and Altman, Lancet 1986;327:307-310: mean difference and limits of agreement, mean +- 1.96 SD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ra_daemon.store.query import run_query

LIMIT = 1.96
"""Standard deviations on each side that hold 95 % of normally distributed differences."""

_SCORES = """
SELECT bundle, bundle_version, source_sha256, kind, value, outcome_id
FROM v1_results
WHERE status <> 'retracted' AND derived_from IS NULL AND value IS NOT NULL
  AND (kind = 'svdh_total' OR (kind IN ('svdh_left', 'svdh_right', 'svdh_hand')
       AND hands <> 'both'))
ORDER BY outcome_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Differences B minus A on one scale, in score units; None where n is too small.

    Attributes:
        scale: ``both hands`` or ``one hand``.
        largest: the difference of the greatest size, of the image ``largest_source``.
    """

    scale: str
    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    largest: float | None
    largest_source: str = ""


def compare(url: str, a: str, b: str) -> list[Paired]:
    """Compare what two bundles said of the images that both scored, active or shadow.

    Args:
        url: of the database.
        a: bundle, as ``NAME`` or ``NAME-VERSION``.
        b: the other one.

    Returns:
        One entry for each scale; of several results of an image the last one counts.

    Raises:
        StoreError: the database cannot be read.
    """
    columns, rows = run_query(url, _SCORES)
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        fields = dict(zip(columns, row, strict=True))
        scale = "both hands" if fields["kind"] == "svdh_total" else "one hand"
        names = (fields["bundle"], f"{fields['bundle']}-{fields['bundle_version']}")
        for name in {a, b} & set(names):
            values.setdefault((scale, name), {})[fields["source_sha256"]] = fields["value"]
    found = []
    for scale in ("both hands", "one hand"):
        first, second = values.get((scale, a), {}), values.get((scale, b), {})
        shared = sorted(first.keys() & second.keys())
        found.append(_paired(scale, shared, [second[s] - first[s] for s in shared]))
    return found


def _paired(scale: str, sources: Sequence[str], differences: Sequence[float]) -> Paired:
    n = len(differences)
    if not n:
        return Paired(scale=scale, n=0, mean=None, sd=None, low=None, high=None, largest=None)
    mean = fmean(differences)
    sd = stdev(differences) if n > 1 else None
    where = max(range(n), key=lambda i: abs(differences[i]))
    return Paired(
        scale=scale,
        n=n,
        mean=mean,
        sd=sd,
        low=None if sd is None else mean - LIMIT * sd,
        high=None if sd is None else mean + LIMIT * sd,
        largest=differences[where],
        largest_source=sources[where],
    )
