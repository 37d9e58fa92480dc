"""One hand in the hand frame: bones, soft tissue, landmarks and joints, from grades and anatomy."""

from __future__ import annotations

from itertools import pairwise

from ra_training.phantom.plan import HandPlan, Subject
from ra_training.phantom.ray import Ray
from ra_training.phantom.soft import Capsule
from ra_training.phantom.wrist import carpus, forearm


def build(who: Subject) -> HandPlan:
    """Draw forearm, carpus, five digits and the flesh between them."""
    plan = HandPlan()
    plan.landmarks.append((0.0, 5.0))
    forearm(plan, who)
    carpus(plan, who)
    knuckles = [Ray(plan, who, d).draw() for d in range(5)]
    for a, b in pairwise(knuckles[1:]):
        plan.soft.append(Capsule(a=a, b=b, r0=13.5, r1=12.5))
        up = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + 9 * who.growth.length)
        plan.soft.append(Capsule(a=((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), b=up, r0=11, r1=6))
    for k in knuckles[1:]:
        plan.soft.append(Capsule(a=(0, 5), b=(k[0] * 0.9, 5 + (k[1] - 5) * 0.9), r0=23, r1=15))
    plan.soft.append(Capsule(a=(0, 6), b=(-2, -155), r0=27, r1=29))
    plan.soft.append(Capsule(a=(8, 8), b=knuckles[0], r0=18, r1=13.5))
    return plan
