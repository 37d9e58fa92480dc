"""One hand in the hand frame: bones, soft tissue, landmarks and joints, from grades and anatomy."""

from __future__ import annotations

from itertools import pairwise
from math import sin

import numpy as np

from ra_training.phantom.plan import HandPlan, Subject
from ra_training.phantom.ray import Ray
from ra_training.phantom.soft import Capsule
from ra_training.phantom.wrist import carpus, forearm

PLAY = (1.0, 0.5, 0.0)
CLEARANCE_MM = 8.0
"""Of the axes of neighbouring digits beyond their knuckles; a finger's shaft is as wide."""


def build(who: Subject) -> HandPlan:
    """Draw forearm, carpus, five digits and the flesh between them; no finger crosses another."""
    for play in PLAY:
        plan = _built(who, play)
        if clearance(plan) >= CLEARANCE_MM * who.growth.length:
            break
    return plan


def clearance(plan: HandPlan) -> float:
    """Least distance (mm) between the axes of neighbouring digits, from knuckle to tip."""
    digits = np.array(plan.landmarks[1:]).reshape(5, 4, 2)[:, 1:]
    share = np.linspace(0, 1, 9)[:, None]
    axes = [np.concatenate([a + share * (b - a) for a, b in pairwise(digit)]) for digit in digits]
    return min(
        float(np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)).min()) for a, b in pairwise(axes)
    )


def _built(who: Subject, play: float) -> HandPlan:
    plan = HandPlan()
    plan.landmarks.append((0.0, 5.0))
    forearm(plan, who)
    carpus(plan, who)
    knuckles = [Ray(plan, who, d, play).draw() for d in range(5)]
    for a, b in pairwise(knuckles[1:]):
        plan.soft.append(Capsule(a=a, b=b, r0=13.5, r1=12.5))
        up = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + 9 * who.growth.length)
        plan.soft.append(Capsule(a=((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), b=up, r0=11, r1=6))
    for k in knuckles[1:]:
        plan.soft.append(Capsule(a=(0, 5), b=(k[0] * 0.9, 5 + (k[1] - 5) * 0.9), r0=23, r1=15))
    aside = 161 * sin(who.wrist)
    plan.soft.append(Capsule(a=(0, 6), b=(aside - 2, -155), r0=27, r1=29))
    plan.soft.append(Capsule(a=(8, 8), b=knuckles[0], r0=18, r1=13.5))
    return plan
