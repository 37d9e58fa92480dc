"""A finger that is missing from its knuckle on: a distractor that raises no score.

A joint that is not there cannot be graded; it counts 0, so that the total is of the joints that
are on the plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ra_training.phantom.exposure import Side
from ra_training.phantom.grades import HandGrades, SubjectGrades
from ra_training.phantom.sites import DIGITS
from ra_training.phantom.streams import stream

Finger = tuple[Side, int]
"""Side, and digit from 1 (index) to 4 (little finger)."""


def draw_finger(seed: int, sides: Sequence[Side], share: float) -> Finger | None:
    """The finger that a subject misses; a stream of its own, so nothing else changes."""
    draw = stream(seed, "missing-finger")
    chance, side, digit = float(draw.random()), int(draw.integers(2)), int(draw.integers(1, 5))
    return (sides[side % len(sides)], digit) if chance < share else None


def sites_of(digit: int) -> frozenset[str]:
    """The scored joints that a missing finger takes along."""
    joints = (f"{joint}-{DIGITS[digit]}" for joint in ("MCP", "PIP"))
    return frozenset(f"{kind}_{joint}" for joint in joints for kind in ("BE", "JSN"))


def without(grades: SubjectGrades, finger: Finger) -> SubjectGrades:
    """The grades of the joints that are there."""
    side, digit = finger
    gone = sites_of(digit)
    left = {site: g for site, g in grades.hand(side).grades.items() if site not in gone}
    hand = HandGrades(grades=left)
    return replace(grades, left=hand) if side == "left" else replace(grades, right=hand)


def name(finger: Finger | None) -> str:
    """As labels.csv has it, ``left M``; "" for none."""
    return "" if finger is None else f"{finger[0]} {DIGITS[finger[1]]}"
