"""No patient in two sets: a network must not be judged by somebody it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from ra_training.data.prepared import Prepared
from ra_training.errors import TrainingError


def no_patient_twice(parts: Mapping[str, Prepared | None]) -> None:
    """Compare the patients of sets by name.

    Raises:
        TrainingError: a patient is in two of them.
    """
    people = {
        name: {s.patient_id for s in part.samples}
        for name, part in parts.items()
        if part is not None
    }
    for a, b in combinations(sorted(people), 2):
        shared = people[a] & people[b]
        if shared:
            raise TrainingError(
                code="patients-overlap",
                text=f"{len(shared)} patients are in both {a} and {b}",
                hint="give sets without a common patient, or other seeds",
            )
