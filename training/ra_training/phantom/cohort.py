"""Cohorts: subjects, visits, and one radiograph for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from ra_training.phantom.exposure import Exposure, Side
from ra_training.phantom.grades import Prior, SubjectGrades, progression, sample_grades
from ra_training.phantom.missing import Finger, draw_finger, without
from ra_training.phantom.render import Hands, render_exposure
from ra_training.phantom.streams import stream

FIRST_DAY = date(2024, 1, 8)
VISIT_WEEKS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One radiograph of a cohort. ``visit`` counts from 1; ages in years; ``cast``: hand in one;
    ``missing``: finger that is not there, and whose joints have no grades."""

    patient_id: str
    visit: int
    study_date: date
    exposure: Exposure
    grades: SubjectGrades
    subject_seed: int
    hands: Hands
    age: float
    cast: Side | None = None
    missing: Finger | None = None


def subject_seed(seed: int, index: int) -> int:
    """The seed of subject ``index`` (0-based) of a cohort; other cohorts share none."""
    return int(stream(seed, "subject", index).integers(2**40))


def generate(
    n: int,
    seed: int,
    *,
    hands: str = "both",
    visits: int = 1,
    prior: Prior = "clinic",
    height: int = 512,
    child_fraction: float = 0.0,
    child_ages: tuple[float, float] = (3.0, 15.0),
    cast_fraction: float = 0.0,
    missing_fraction: float = 0.0,
) -> Iterator[Sample]:
    """Yield ``n`` subjects times ``visits`` radiographs.

    Args:
        hands: ``both``, ``left``, ``right`` or ``mixed`` (drawn for each subject).
        child_fraction: share of subjects with open growth plates; child_ages: their ages, years,
            evenly spread.
        cast_fraction: share of radiographs that show one of their hands in a cast.
        missing_fraction: share of subjects who miss a finger, at every visit.
    """
    for index in range(n):
        own = subject_seed(seed, index)
        draw = stream(own, "subject")
        shown: Hands = _hands(hands, float(draw.random()))
        child = draw.random() < child_fraction
        age = float(draw.uniform(*child_ages)) if child else float(draw.uniform(25, 75))
        sides: tuple[Side, ...] = ("left", "right") if shown == "both" else (shown,)
        gone = draw_finger(own, sides, missing_fraction)
        first = FIRST_DAY + timedelta(days=int(draw.integers(0, 365)))
        for visit in range(visits):
            shift = progression(own, visit)
            grades = sample_grades(own, prior=prior, visit_shift=shift)
            if gone is not None:
                grades = without(grades, gone)
            cast = _cast(own, visit, shown, cast_fraction)
            exposure = render_exposure(
                own, grades, hands=shown, visit=visit, height=height, age=age if child else None,
                casts=(cast,) if cast else (), missing=gone,
            )  # fmt: skip
            yield Sample(
                patient_id=f"PHANTOM-{seed}-{index + 1:04d}",
                visit=visit + 1,
                study_date=first + timedelta(weeks=VISIT_WEEKS * visit),
                exposure=exposure,
                grades=grades,
                subject_seed=own,
                hands=shown,
                age=age + visit * VISIT_WEEKS / 52,
                cast=cast,
                missing=gone,
            )


def _cast(own: int, visit: int, shown: Hands, share: float) -> Side | None:
    """Which of the shown hands lies in a cast; a stream of its own, so nothing else changes."""
    draw = stream(own, "in-cast", visit)
    chance, left = float(draw.random()), bool(draw.random() < 0.5)
    if chance >= share:
        return None
    return shown if shown != "both" else ("left" if left else "right")


def _hands(hands: str, chance: float) -> Hands:
    if hands == "both" or (hands == "mixed" and chance < 0.5):
        return "both"
    if hands == "left" or (hands == "mixed" and chance < 0.75):
        return "left"
    return "right"
