"""Cohorts of several visits with known progression: grades first, images by the generator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ra_training.data.sample import Sample
from ra_training.phantom import sample_grades, subject_seed
from ra_training.phantom.cohort import VISIT_WEEKS
from ra_training.phantom.grades import Prior, progression
from ra_training.phantom.sites import SITES

RAPID = 5.0
"""Units a year: rapid radiographic progression (BeSt)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """True change of one patient from the first to the last visit, in units of the total."""

    patient_id: str
    first: float
    last: float
    years: float

    @property
    def units(self) -> float:
        """Last minus first."""
        return self.last - self.first

    @property
    def rapid(self) -> bool:
        """At least 5 units a year."""
        return self.units >= RAPID * self.years


def cohort(n: int, seed: int, *, visits: int = 3, prior: Prior = "clinic") -> tuple[Sample, ...]:
    """Labels of both hands of ``n`` subjects at ``visits`` visits of 26 weeks; no image is drawn.

    The same seeds give the same grades as ``ra-train phantom --visits``; patient names are alike.
    """
    made = []
    for index in range(n):
        own = subject_seed(seed, index)
        who = f"PHANTOM-{seed}-{index + 1:04d}"
        for visit in range(visits):
            grades = sample_grades(own, prior=prior, visit_shift=progression(own, visit))
            joints = {
                f"{side[0].upper()}_{site}": float(grades.hand(side).grade(site))
                for side in ("left", "right")
                for site in SITES
            }
            made.append(
                Sample(
                    key=f"{who}-{visit + 1}", patient_id=who, visit=str(visit + 1),
                    source="phantom", image=None, hands="both", score=float(grades.total),
                    joints=joints,
                )
            )  # fmt: skip
    return tuple(made)


def changes(samples: Sequence[Sample]) -> tuple[Change, ...]:
    """First and last score of each patient; visits are numbered, 26 weeks apart."""
    people: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        people[sample.patient_id].append(sample)
    found = []
    for who, own in sorted(people.items()):
        ordered = sorted(own, key=lambda s: int(s.visit))
        first, last = ordered[0], ordered[-1]
        if first.score is None or last.score is None or first is last:
            continue
        weeks = VISIT_WEEKS * (int(last.visit) - int(first.visit))
        found.append(Change(patient_id=who, first=first.score, last=last.score, years=weeks / 52))
    return tuple(found)
