"""The label table that ``ra-train phantom`` writes: one row a radiograph."""

from __future__ import annotations

from ra_training.phantom.cohort import Sample
from ra_training.phantom.sites import SITES


def columns() -> list[str]:
    """Column names; joints as ``L_<site>`` and ``R_<site>``."""
    head = ["file", "patient_id", "visit", "study_date", "hands", "total", "total_left"]
    head += ["total_right", "erosion", "narrowing"]
    return head + [f"{side}_{site}" for side in "LR" for site in SITES]


def row(name: str, sample: Sample) -> list[str]:
    """Values of one radiograph; cells of a hand that is not shown are empty."""
    shown = {s: sample.grades.hand(s) for s in ("left", "right") if sample.hands in (s, "both")}
    totals = [str(shown[s].total) if s in shown else "" for s in ("left", "right")]
    cells = [
        name,
        sample.patient_id,
        str(sample.visit),
        sample.study_date.isoformat(),
        sample.hands,
    ]
    cells.append(str(sum(h.total for h in shown.values())))
    cells += totals
    cells.append(str(sum(h.erosion_total for h in shown.values())))
    cells.append(str(sum(h.narrowing_total for h in shown.values())))
    for side in ("left", "right"):
        cells += [str(shown[side].grade(s)) if side in shown else "" for s in SITES]
    return cells
