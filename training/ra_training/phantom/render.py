"""Render a radiograph of one or both hands of a subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Literal

import numpy as np

from ra_training.phantom import film, split
from ra_training.phantom.anatomy import draw_anatomy
from ra_training.phantom.block import Block
from ra_training.phantom.canvas import Canvas, Field, Point
from ra_training.phantom.erosion import Notch
from ra_training.phantom.exposure import Box, Exposure, HandTruth, Side
from ra_training.phantom.grades import SubjectGrades
from ra_training.phantom.grain import Grain, strands
from ra_training.phantom.hand import build
from ra_training.phantom.missing import Finger, without
from ra_training.phantom.nuisance import RANGES, SPREADS
from ra_training.phantom.plan import Growth, HandPlan, Subject
from ra_training.phantom.plaster import axis, draw_cast
from ra_training.phantom.soft import Capsule
from ra_training.phantom.streams import stream

Hands = Literal["both", "left", "right"]
_BONES = 64  # more than a hand has: numbers of its strands
_SHORTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a hand lies: hand frame (mm) to image (mm)."""

    origin: Point
    angle: float
    scale: float
    sign: float  # +1: thumb toward image right (a right hand, postero-anterior)

    def place(self, p: Point) -> Point:
        """Map one point."""
        x, y = p[0] * self.sign * self.scale, -p[1] * self.scale
        c, s = cos(self.angle), sin(self.angle)
        return self.origin[0] + x * c - y * s, self.origin[1] + x * s + y * c

    def notches(self, notches: tuple[Notch, ...]) -> tuple[Notch, ...]:
        """Map erosions."""
        out = []
        for n in notches:
            x, y = self.place((n.x, n.y))
            out.append(replace(n, x=x, y=y, radius=n.radius * self.scale))
        return tuple(out)


def render_exposure(
    subject_seed: int,
    grades: SubjectGrades,
    *,
    hands: Hands = "both",
    visit: int = 0,
    height: int = 512,
    spacing_mm: float | None = None,
    age: float | None = None,
    exposure_seed: int = 0,
    female: bool | None = None,
    casts: Sequence[Side] = (),
    missing: Finger | None = None,
) -> Exposure:
    """Render one radiograph.

    Args:
        subject_seed: decides the anatomy; with ``visit`` and ``exposure_seed`` also pose and film.
        grades: of both hands; those of a hand that is not shown are ignored.
        height: rows; the width follows (1.3 x for both hands, 0.85 x for one).
        spacing_mm: mm a pixel; None draws a field of view in which the hands fill most.
        age: years below 18 draw open growth plates.
        casts: hands that lie in a plaster cast; the scorers were trained on none.
        missing: finger that is not there, whose joints have no grades (``missing.without``); its
            landmarks and joint boxes lie where it would be.

    Raises:
        ValueError: joints of the missing finger have grades.
    """
    if missing is not None and without(grades, missing).total != grades.total:
        raise ValueError("a joint that is not there has no grade: see missing.without")
    shot = int(stream(subject_seed, "shot", visit, exposure_seed).integers(2**31))
    anatomy = draw_anatomy(subject_seed, female=female)
    growth = Growth(age if age is not None and age < 18 else None, anatomy.female)
    size = anatomy.scale * (1.0 if growth.age is None else 0.5 + 0.5 * min(1.0, growth.age / 16))
    canvas = _canvas(shot, size, hands, height, spacing_mm)
    grain = strands(subject_seed, canvas.px)
    sides: tuple[Side, ...] = ("right", "left") if hands == "both" else (hands,)
    truths: list[HandTruth] = []
    parted = split.draw_split(shot) if hands == "both" else None
    over = 6.0 if parted is None else -parted.half_mm - 8.0 * size
    for side in sides:
        who = Subject(
            seed=subject_seed, side=side, grades=grades.hand(side), anatomy=anatomy,
            growth=growth, pose_seed=shot,
            missing=missing[1] if missing and missing[0] == side else None,
        )  # fmt: skip
        plan = build(who)
        pose = _pose(shot, side, canvas, size, plan, alone=len(sides) == 1, over=over)
        draw_plan(plan, pose, canvas, grain, first=_BONES * len(truths))
        if side in casts:
            start, end = (pose.place(p) for p in axis())
            draw_cast(canvas, start, end, pose.scale, shot)
        truths.append(_truth(plan, pose, canvas, side, who))
    tube = film.draw_tube(shot, height)
    shown = _shown(canvas, tube, parted, shot)
    if tube.marker:
        film.letter(shown, "L" if sides[0] == "left" else "R", shot)
    return _exposure(shown, tube, canvas.px, tuple(truths), hands, anatomy.female, age)


def _canvas(shot: int, size: float, hands: Hands, height: int, spacing_mm: float | None) -> Canvas:
    """An empty plate; without a spacing the hands fill most of it."""
    field_mm = RANGES["field"].draw(stream(shot, "field")) * max(size, 0.55)
    px = spacing_mm if spacing_mm is not None else field_mm / height
    return Canvas(rows=height, columns=round(height * (1.3 if hands == "both" else 0.85)), px=px)


def _shown(canvas: Canvas, tube: film.Tube, parted: split.Split | None, shot: int) -> Field:
    """The plate exposed at once, or in two halves."""
    if parted is None:
        return film.expose(canvas, tube, shot)
    return split.expose(canvas, tube, parted, shot)


def _exposure(
    shown: Field, tube: film.Tube, px: float, truths: tuple[HandTruth, ...], hands: str,
    female: bool, age: float | None,  # noqa: FBT001 - a plain fact of the subject
) -> Exposure:  # fmt: skip
    top = 2**tube.bits - 1
    return Exposure(
        pixels=film.stored(shown, tube),
        bits=tube.bits,
        photometric="MONOCHROME1" if tube.inverted else "MONOCHROME2",
        spacing_mm=px,
        window=((top + 1) / 2, float(top + 1)),
        hands=truths,
        laterality={"both": "B", "left": "L", "right": "R"}.get(hands, "U"),
        female=female,
        age=age,
    )


def finish(canvas: Canvas, seed: int, *, marker: str = "") -> Exposure:
    """Expose a canvas that shows no hand."""
    tube = film.draw_tube(seed, canvas.rows)
    shown = film.expose(canvas, tube, seed, auto=True)
    if marker and tube.marker:
        film.letter(shown, marker, seed)
    return _exposure(shown, tube, canvas.px, (), "none", False, None)  # noqa: FBT003


def _pose(
    shot: int, side: Side, canvas: Canvas, size: float, plan: HandPlan, *, alone: bool, over: float
) -> Pose:
    """Lay the hand down, then move it so that the joints and tips that it has stay on the plate.

    Of two hands each stays in its half, ``over`` mm more.
    """
    draw = stream(shot, "pose", side)
    width, height = canvas.columns * canvas.px, canvas.rows * canvas.px
    place = 0.5 if alone else (0.26 if side == "right" else 0.74)
    sign = 1.0 if side == "right" else -1.0
    slack = max(0.0, height - 238 * size)
    x = width * place - sign * 12 * size + SPREADS["aside"].draw(draw)
    y = 199 * size + slack * RANGES["place"].draw(draw)
    angle = radians(SPREADS["turned alone" if alone else "turned"].draw(draw))
    pose = Pose(origin=(x, y), angle=angle, scale=size, sign=sign)
    points = np.array([pose.place(p) for p in plan.landmarks])
    half = width / 2
    left, right = (
        (0.0, width) if alone else ((0.0, half + over) if side == "right" else (half - over, width))
    )
    margin = 4.0 * size
    dx = _shift(points[:, 0], left + margin, right - margin)
    dy = _shift(points[:, 1], margin, height - 36 * size)
    return replace(pose, origin=(x + dx, y + dy))


def _shift(values: np.ndarray[tuple[int], np.dtype[np.float64]], low: float, high: float) -> float:
    """How far to move so that all values lie between the limits, or half out on both sides."""
    under, over = max(0.0, low - float(values.min())), max(0.0, float(values.max()) - high)
    return (under - over) if not (under and over) else (under - over) / 2


def draw_plan(plan: HandPlan, pose: Pose, canvas: Canvas, grain: Grain, first: int = 0) -> None:
    """Draw the shapes of a hand at its pose; its bones have the strands from ``first`` on."""
    k = pose.scale
    for i, t in enumerate(plan.tubes):
        plate = None if t.plate is None else (t.plate[0] * k, t.plate[1] * k)
        replace(
            t, base=pose.place(t.base), head=pose.place(t.head), shaft=t.shaft * k,
            base_width=t.base_width * k, head_width=t.head_width * k, cortex=t.cortex * k,
            groove=t.groove * k, rim=t.rim * k, tilt_head=t.tilt_head * pose.sign,
            tilt_base=t.tilt_base * pose.sign, notches=pose.notches(t.notches), plate=plate,
        ).draw(canvas, grain.bone(first + i))  # fmt: skip
    for i, bone in enumerate(plan.shorts):
        replace(
            bone, centre=pose.place(bone.centre), cortex=bone.cortex * k, size=bone.size * k,
            turn=pose.angle, sign=pose.sign, thickness=bone.thickness * k,
            notches=pose.notches(bone.notches),
        ).draw(canvas, grain.bone(first + _SHORTS + i))  # fmt: skip
    for b in plan.blocks:
        Block(
            corners=tuple(pose.place(c) for c in b.corners), cortex=b.cortex * k,
            density=b.density, thickness=b.thickness * k, rounding=b.rounding * k,
            notches=pose.notches(b.notches),
        ).draw(canvas, grain.bone(first))  # fmt: skip
    for s in plan.soft:
        Capsule(a=pose.place(s.a), b=pose.place(s.b), r0=s.r0 * k, r1=s.r1 * k).draw(canvas)


def _truth(plan: HandPlan, pose: Pose, canvas: Canvas, side: Side, who: Subject) -> HandTruth:
    px = canvas.px
    points = np.array([pose.place(p) for p in plan.landmarks], np.float32) / np.float32(px)
    points -= np.float32(0.5)
    boxes: dict[str, Box] = {}
    mask = np.zeros((canvas.rows, canvas.columns), np.bool_)
    for site, (centre, radius) in sorted(plan.joints.items()):
        x, y = (v / px - 0.5 for v in pose.place(centre))
        r = radius * pose.scale / px
        boxes[site] = (x - r, y - r, x + r, y + r)
        if who.grades.grade(site):
            _mark(mask, x, y, r)
    forearm = np.array([pose.place(p) for p in ((-25, -30), (25, -30))], np.float32) / np.float32(
        px
    )
    corners = np.concatenate([points, forearm])
    pad = 10 * pose.scale / px
    box = (
        float(corners[:, 0].min() - pad), float(corners[:, 1].min() - pad),
        float(corners[:, 0].max() + pad), float(corners[:, 1].max()),
    )  # fmt: skip
    return HandTruth(
        side=side, grades=who.grades, landmarks=points, box=box, joint_boxes=boxes,
        damage_mask=mask,
    )  # fmt: skip


def _mark(
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]], x: float, y: float, r: float
) -> None:
    a, b = max(0, int(x - r)), min(mask.shape[1], int(x + r) + 2)
    c, d = max(0, int(y - r)), min(mask.shape[0], int(y + r) + 2)
    if b <= a or d <= c:
        return
    yy, xx = np.mgrid[c:d, a:b]
    mask[c:d, a:b] |= (xx - x) ** 2 + (yy - y) ** 2 <= r * r
