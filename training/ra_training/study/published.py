"""What others published, for the columns beside ours; None where nothing was published.

Source: Bo, Coates, Papiez, MIUA 2024 (doi 10.1007/978-3-031-66958-3_29, arXiv 2406.09980), from the
abstract; figures of the ensemble's classes also from its summary. Bo et al. 2025, arXiv 2508.06218.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures by name of ``metrics``, with where they stand."""

    name: str
    citation: str
    figures: dict[str, float]


PAPER_SCORE = Published(
    name="Bo 2024, best", citation="arXiv 2406.09980, abstract",
    figures={"pcc": 0.925, "rmse": 18.02},
)  # fmt: skip
PAPER_CLASS = Published(
    name="Bo 2024, best", citation="arXiv 2406.09980, abstract (errors: about, by its summary)",
    figures={"accuracy": 0.358, "class_pcc": 0.859, "class_mae": 1.1, "class_rmse": 1.6},
)  # fmt: skip
HUMAN = Published(
    name="radiologists", citation="arXiv 2406.09980, abstract",
    figures={"pcc": 0.97, "rmse": 18.75},
)  # fmt: skip
NEXT_SINGLE = Published(
    name="Bo 2025, single", citation="arXiv 2508.06218", figures={"pcc": 0.943, "rmse": 15.73}
)
NEXT_ENSEMBLE = Published(
    name="Bo 2025, ensemble", citation="arXiv 2508.06218", figures={"pcc": 0.945, "rmse": 15.57}
)

SCORE = (PAPER_SCORE, NEXT_SINGLE, NEXT_ENSEMBLE, HUMAN)
CLASSES = (PAPER_CLASS,)
