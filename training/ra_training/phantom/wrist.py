"""Forearm and carpus of a hand."""

from __future__ import annotations

from math import cos, pi, sin

from ra_training.phantom import damage
from ra_training.phantom.anatomy import (
    CARPALS,
    PISIFORM,
    RADIUS_TILT,
    RADIUS_TOP,
    RADIUS_WIDTH,
    ULNA_TOP,
    ULNA_WIDTH,
)
from ra_training.phantom.block import Block
from ra_training.phantom.canvas import Point
from ra_training.phantom.plan import HandPlan, Subject
from ra_training.phantom.short import Short
from ra_training.phantom.streams import stream
from ra_training.phantom.tube import Tube

FOREARM_MM = 135.0
_ERODED = ("S", "L", "Tm")


def forearm(plan: HandPlan, who: Subject) -> None:
    """Radius and ulna with their styloids."""
    _radius(plan, who)
    _ulna(plan, who)


def _elbow(who: Subject, x: float, y: float) -> Point:
    """The far end of a forearm bone that ends at a place of the wrist."""
    return x + 0.5 + FOREARM_MM * sin(who.wrist), y - FOREARM_MM * cos(who.wrist)


def _radius(plan: HandPlan, who: Subject) -> None:
    width = RADIUS_WIDTH * (0.75 + 0.25 * who.growth.part)
    density, tilt = who.anatomy.density, RADIUS_TILT + who.anatomy.inclination
    x, y = RADIUS_TOP
    y += 1.0 * who.lost("JSN_SR") - 0.3 * (who.space("JSN_SR") - 1)
    styloid = (x + 0.42 * width, y + 0.42 * width * tilt)
    plan.joints["BE_R"] = ((styloid[0] - 3.5, styloid[1] - 3.5), 10.0)
    plan.joints["JSN_SR"] = ((7.0, -7.4), 9.5)
    inward = (sin(0.35), -cos(0.35))
    notches = damage.marginal(
        who.seed, who.side, "BE_R", who.grades.grade("BE_R"),
        end=(styloid[0] - 6.5, styloid[1] - 3.0), inward=inward, width=17.0,
    )  # fmt: skip
    gap = who.growth.plate(17.5)
    plan.tubes.append(
        Tube(
            base=_elbow(who, x, y), head=(x, y), shaft=13, base_width=16, head_width=width,
            cortex=who.cortex(1.05), density=density, depth=0.6, convex=-0.05, cup=0,
            tilt_head=tilt, rim=2.6 if who.growth.age is None else 0.0, porosis=who.porosis,
            notches=notches, plate=(FOREARM_MM - 7, gap) if gap else None,
        )
    )  # fmt: skip
    tip = (styloid[0] + 0.6, styloid[1] + 1.2)
    plan.blocks.append(
        Block(
            corners=((tip[0] - 5.0, tip[1] - 8), (tip[0] + 1.0, tip[1] - 8),
                     (tip[0] + 0.6, tip[1]), (tip[0] - 1.6, tip[1] + 0.6)),
            cortex=0.9, density=0.25 * density, thickness=8, rounding=1.2,
        )
    )  # fmt: skip


def _ulna(plan: HandPlan, who: Subject) -> None:
    width = ULNA_WIDTH * (0.75 + 0.25 * who.growth.part)
    density = who.anatomy.density
    x, y = ULNA_TOP[0], ULNA_TOP[1] + who.anatomy.ulnar_variance
    plan.joints["BE_U"] = ((x - 1, y - 2), 8.5)
    notches = damage.marginal(
        who.seed, who.side, "BE_U", who.grades.grade("BE_U"),
        end=(x, y - 1.0), inward=(0.0, -1.0), width=width,
    )  # fmt: skip
    gap = who.growth.plate(17.2)
    plan.tubes.append(
        Tube(
            base=_elbow(who, x, y), head=(x, y), shaft=9.5, base_width=12,
            head_width=width, cortex=who.cortex(0.95), density=density, depth=0.74, convex=0.22,
            cup=0, tilt_head=-0.06, porosis=who.porosis, notches=notches,
            plate=(FOREARM_MM - 5, gap) if gap else None,
        )
    )  # fmt: skip
    side = x - 0.5 * width
    plan.blocks.append(
        Block(
            corners=((side + 0.2, y - 5), (side + 4.2, y - 5),
                     (side + 3.0, y + 3.6), (side + 1.2, y + 4.4)),
            cortex=0.8, density=0.45 * density, thickness=8, rounding=0.9, notches=notches,
        )
    )  # fmt: skip


def carpus(plan: HandPlan, who: Subject) -> None:
    """The eight short bones; a lost space draws its bones together."""
    lost = who.lost
    moved: dict[str, Point] = {
        "S": (-0.9 * lost("JSN_SC") + 0.4 * lost("JSN_SR"),
              0.5 * lost("JSN_SC") - 1.0 * lost("JSN_SR")),
        "L": (0.2 * lost("JSN_SR"), -1.1 * lost("JSN_SR")),
        "C": (0.9 * lost("JSN_SC"), 0.8 * lost("JSN_CMC-M") - 0.4 * lost("JSN_SC")),
        "H": (0.0, 0.8 * lost("JSN_CMC-R")),
        "Td": (0.0, -1.8 * lost("JSN_STT")),
        "Tm": (-0.6 * lost("JSN_STT"), -1.7 * lost("JSN_STT")),
    }  # fmt: skip
    for name, (centre, corners) in CARPALS.items():
        size = who.growth.carpal(name)
        if size <= 0:
            continue
        dx, dy = moved.get(name, (0.0, 0.0))
        draw = stream(who.seed, "carpal", who.side, name)
        jx, jy = (float(v) for v in draw.uniform(-0.12, 0.12, 2))
        bone = Short(
            centre=(centre[0] + dx + jx, centre[1] + dy + jy),
            outline=tuple((x - centre[0], y - centre[1]) for x, y in corners),
            cortex=0.75, size=size * (1 + float(draw.uniform(-0.012, 0.012))),
            density=who.anatomy.density * (1 - 0.8 * who.porosis),
            thickness=float(draw.uniform(11.5, 14.5)),
        )  # fmt: skip
        plan.shorts.append(_worn(plan, who, name, bone))
    if who.growth.carpal("Tq") > 0.9:
        _pisiform_and_hook(plan, who)
    plan.joints["JSN_SC"] = ((7.0, 3.6), 6.5)
    plan.joints["JSN_STT"] = ((16.8, 11.8), 7.0)
    bridge(plan, who, "JSN_SC", ((4, 1), (9, 2), (9, 7), (4, 6)))
    bridge(plan, who, "JSN_STT", ((10, 9), (21, 10), (21, 14.5), (10, 14.5)))
    bridge(plan, who, "JSN_SR", ((-3, -12.5), (17, -4.5), (16, -0.5), (-4, -8.5)))


def _worn(plan: HandPlan, who: Subject, name: str, bone: Short) -> Short:
    """The bone with its erosions where the score looks, or a harmless cyst where it does not."""
    site = f"BE_{name}"
    if name in _ERODED:
        plan.joints[site] = (bone.centre, 9.5)
        bites = damage.carpal(who.seed, who.side, site, who.grades.grade(site), bone)
    else:
        bites = damage.cysts(who.seed, who.side, site, at=bone.centre, spread=2.5)
    return Short(
        centre=bone.centre, outline=bone.outline, cortex=bone.cortex, size=bone.size,
        density=bone.density, thickness=bone.thickness, notches=bites,
    )  # fmt: skip


def _pisiform_and_hook(plan: HandPlan, who: Subject) -> None:
    """Pisiform before the triquetrum, hook before the hamate: both add to what lies behind."""
    (x, y), (a, b) = PISIFORM
    density = 0.55 * who.anatomy.density
    for centre, rx, ry, thick in (((x, y), a, b, 9.0), ((-12.4, 13.2), 2.8, 3.8, 6.0)):
        outline = tuple((rx * cos(2 * pi * i / 8), ry * sin(2 * pi * i / 8)) for i in range(8))
        plan.shorts.append(
            Short(centre=centre, outline=outline, cortex=0.8, density=density, thickness=thick)
        )


def bridge(plan: HandPlan, who: Subject, site: str, corners: tuple[Point, ...]) -> None:
    """Bone across a joint that has grown together: no line is left."""
    if who.bridged(site):
        plan.blocks.append(
            Block(corners=corners, cortex=0.1, density=0.6 * who.anatomy.density, thickness=9)
        )
