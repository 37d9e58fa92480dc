"""One digit with its metacarpal."""

from __future__ import annotations

from math import cos, radians, sin

from ra_training.phantom import damage
from ra_training.phantom.anatomy import (
    BASE,
    DISTAL,
    FAN,
    GAP,
    METACARPAL,
    METACARPAL_BASE,
    MIDDLE,
    PROXIMAL,
    SHAFT_BASE_HEAD,
    WIDTH,
)
from ra_training.phantom.block import Block
from ra_training.phantom.canvas import Point
from ra_training.phantom.erosion import Notch
from ra_training.phantom.nuisance import SPREADS
from ra_training.phantom.plan import HandPlan, Subject
from ra_training.phantom.short import Short
from ra_training.phantom.sites import DIGITS
from ra_training.phantom.soft import Capsule
from ra_training.phantom.streams import stream
from ra_training.phantom.tube import Tube
from ra_training.phantom.wrist import bridge

_LENGTH = {"MC": METACARPAL, "PP": PROXIMAL, "MP": MIDDLE, "DP": DISTAL}
_FUSION = {"MC": 16.0, "PP": 16.0, "MP": 16.0, "DP": 15.0}
_CORTEX = {"MC": 1.0, "PP": 0.9, "MP": 0.75, "DP": 0.6}
_CONVEX = {"MC": 0.48, "PP": 0.3, "MP": 0.28, "DP": 0.55}
_CUP = {"MC": 0.0, "PP": 0.38, "MP": 0.30, "DP": 0.24}
"""Hollow of each base: nearly concentric with the head before it."""
_ROUND = tuple((0.7 * cos(k), sin(k)) for k in (0.0, 0.79, 1.57, 2.36, 3.14, 3.93, 4.71, 5.5))


class Ray:
    """Draws one digit of a hand into its plan, from the metacarpal base to the tip."""

    def __init__(self, plan: HandPlan, who: Subject, d: int, play: float = 1.0) -> None:
        """A ray; ``play`` is the part of its own bends that it keeps, 0..1."""
        self.plan, self.who, self.d, self.play = plan, who, d, play
        self.letter = DIGITS[d]
        self.wedge = 0.0  # tilt of the next base: a joint that is narrower on one side

    def draw(self) -> Point:
        """Draw the ray; return its knuckle."""
        plan, who, d = self.plan, self.who, self.d
        pose = stream(who.pose_seed, "digit", who.side, d)
        angle = FAN[d] + radians(SPREADS["finger" if d else "thumb"].draw(pose)) * self.play
        angle += 0.4 * who.drift if d else 0.0  # the metacarpals lean the other way
        shown = self._foreshortened()
        names = ("MC", "PP", "MP", "DP") if d else ("MC", "PP", "DP")
        joints = ("MCP", "PIP", "DIP") if d else ("MCP", "IP")
        start = self._base()
        plan.landmarks.append(start)
        knuckle = start
        for i, name in enumerate(names):
            u = (sin(angle), cos(angle))
            length = _LENGTH[name][d] * who.growth.length * who.anatomy.lengths[d][i] * shown[i]
            head = (start[0] + u[0] * length, start[1] + u[1] * length)
            gone = who.missing == d and name != "MC"
            if not (gone or (name == "DP" and who.anatomy.short == (who.side, d))):
                self._segment(i, name, start, head, u)
            if i == len(names) - 1:
                plan.landmarks.append(head)
                break
            kind = joints[i]
            site = f"{kind}-{self.letter}" if kind != "IP" else "IP"
            radius = 10.0 if kind == "MCP" else 7.5
            if kind != "DIP":
                plan.landmarks.append(head)
                plan.joints[f"BE_{site}"] = (head, radius)
            if kind in ("MCP", "PIP"):
                plan.joints[f"JSN_{site}"] = (head, radius)
            if i == 0:
                knuckle = head
            start, angle = self._cross(kind, site, head, angle)
        if d == 0:
            self._sesamoids(knuckle)
        return knuckle

    def _foreshortened(self) -> tuple[float, float, float, float]:
        """Part of each segment's length that is seen: a bent finger does not lie on the plate."""
        if not self.d:
            return 1.0, 1.0, 1.0, 1.0
        draw = stream(self.who.pose_seed, "flexion", self.who.side, self.d)
        rest, worn = (abs(float(v)) for v in draw.normal(0, 1, 2))
        bent = min(0.8, 0.12 * rest + 0.6 * worn * self.who.drift)
        return 1.0, cos(0.5 * bent), cos(bent), cos(1.2 * bent)

    def _base(self) -> Point:
        d, who = self.d, self.who
        x, y = BASE[d]
        if d < 2:
            return x, y
        site = f"JSN_CMC-{self.letter}"
        self.plan.joints[site] = ((x, y - 1), 6.0)
        bridge(
            self.plan, who, site, ((x - 5, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 5, y + 4))
        )
        return x, y - 1.3 * who.lost(site)

    def _sesamoids(self, knuckle: Point) -> None:
        """Two pea-sized bones before the thumb's knuckle."""
        who = self.who
        if who.growth.part < 0.9:
            return
        draw = stream(who.seed, "sesamoid", who.side)
        for across in (-3.6, 3.4):
            r = float(draw.uniform(1.6, 2.4))
            at = (knuckle[0] + across * 0.8, knuckle[1] - 1.5 - across * 0.5)
            self.plan.shorts.append(
                Short(
                    centre=at, outline=tuple((r * x / 0.85, r * y) for x, y in _ROUND), cortex=0.6,
                    density=0.6 * who.anatomy.density, thickness=5.0,
                )
            )  # fmt: skip

    def _notches(self, name: str, base: Point, head: Point, u: Point, wide: float) -> list[Notch]:
        """Erosions of a segment's ends; the far bone takes part from grade 3 on."""
        d, who = self.d, self.who
        found: list[Notch] = []
        back = (-u[0], -u[1])

        def bites(label: str, grade: int, end: Point, inward: Point, width: float) -> None:
            found.extend(
                damage.marginal(
                    who.seed, who.side, label, grade, end=end, inward=inward, width=width
                )
            )

        widths = SHAFT_BASE_HEAD[name]
        if name == "MC" and d == 0:
            self.plan.joints["BE_CMC-T"] = (base, 8.0)
            bites("BE_CMC-T", who.grades.grade("BE_CMC-T"), base, u, METACARPAL_BASE[0] * wide)
        here = {"MC": f"BE_MCP-{self.letter}", "PP": f"BE_PIP-{self.letter}" if d else "BE_IP"}
        if name in here:
            bites(here[name], who.grades.grade(here[name]), head, back, widths[2] * wide)
        before = {"PP": f"BE_MCP-{self.letter}", "MP": f"BE_PIP-{self.letter}"}.get(name, "")
        if before and who.grades.grade(before) >= 3:
            bites(before + "/distal", who.grades.grade(before) - 2, base, u, widths[1] * wide)
        if name == "MP":
            found.extend(damage.cysts(who.seed, who.side, f"DIP-{d}", at=head, spread=2.0))
        return found

    def _segment(self, i: int, name: str, base: Point, head: Point, u: Point) -> None:
        d, who, growth = self.d, self.who, self.who.growth
        wide = WIDTH[d] * growth.width * who.anatomy.widths
        shaft, wide_base, wide_head = (w * wide for w in SHAFT_BASE_HEAD[name])
        if name == "MC":
            wide_base = METACARPAL_BASE[d] * growth.width * who.anatomy.widths
        gap = growth.plate(_FUSION[name])
        length = ((head[0] - base[0]) ** 2 + (head[1] - base[1]) ** 2) ** 0.5
        grown = 0.5 + 0.5 * growth.part
        place = length - 5.5 * grown if name == "MC" and d else 4.0 * grown
        self.plan.tubes.append(
            Tube(
                base=base, head=head, shaft=shaft, base_width=wide_base, head_width=wide_head,
                cortex=who.cortex(_CORTEX[name]), density=who.anatomy.density,
                notches=tuple(self._notches(name, base, head, u, wide)), convex=_CONVEX[name],
                cup=_CUP[name], groove=0.5 if name in ("PP", "MP") else 0.0,
                tilt_base=self.wedge, porosis=who.porosis, plate=(place, gap) if gap else None,
            )
        )  # fmt: skip
        self.wedge = 0.0
        if name == "PP" and who.anatomy.ring == (who.side, d):
            self._ring(base, u)
        self._flesh(i, name, base, head, u)

    def _ring(self, base: Point, u: Point) -> None:
        """A metal band across the proximal phalanx; it raises no score."""
        x, y = base[0] + u[0] * 14, base[1] + u[1] * 14
        across = (u[1], -u[0])
        corners = tuple(
            (x + a * across[0] + b * u[0], y + a * across[1] + b * u[1])
            for a, b in ((-9.5, -1.6), (9.5, -1.6), (9.5, 1.6), (-9.5, 1.6))
        )
        self.plan.blocks.append(Block(corners=corners, cortex=1.0, density=6.0, thickness=8))

    def _flesh(self, i: int, name: str, base: Point, head: Point, u: Point) -> None:
        grades = self.who.grades
        swollen = grades.grade(f"BE_PIP-{self.letter}") + grades.grade(f"JSN_PIP-{self.letter}")
        swell = 1 + 0.05 * min(3, swollen) * (name == "PP")
        r0, r1 = (12.0, 11.2) if name == "MC" else (11.9 - 1.2 * i, 11.0 - 1.25 * i)
        tip = (head[0] + u[0] * 3, head[1] + u[1] * 3) if name == "DP" else head
        self.plan.soft.append(Capsule(a=base, b=tip, r0=r0, r1=r1 * swell))

    def _cross(self, kind: str, site: str, head: Point, angle: float) -> tuple[Point, float]:
        """Cross a joint: where the next segment starts, and its direction."""
        who, d = self.who, self.d
        grade = who.grades.grade(f"JSN_{site}")
        space = GAP[kind] * who.left(f"JSN_{site}") * who.space(site)
        if kind == "DIP":
            space *= 1 - who.anatomy.osteoarthritis[d]
        age = who.growth.age
        if age is not None:
            space *= 1.6 - 0.6 * who.growth.part
        if grade == 1:
            tilt = stream(who.seed, "wedge", who.side, site).choice((-1.0, 1.0))
            self.wedge = float(tilt) * 0.035  # narrow on one side first
        bend = radians(
            SPREADS["bend" if d else "thumb bend"].draw(
                stream(who.pose_seed, "bend", who.side, site)
            )
        )
        bend *= self.play
        knuckle = kind == "MCP" and d > 0
        if knuckle:
            own = SPREADS["own drift"].draw(stream(who.pose_seed, "drift", who.side, d)) - 1
            bend -= who.drift * (1 + own * self.play) + who.turn(d)
        slip = who.slip(kind, d) if kind in ("MCP", "PIP") else 0.0
        if not slip:
            if kind in ("MCP", "PIP"):
                self._bridge(site, head)
            u = (sin(angle), cos(angle))
            return (head[0] + u[0] * space, head[1] + u[1] * space), angle + bend
        return self._slipped(site, slip, head, angle + bend, space)

    def _bridge(self, site: str, head: Point) -> None:
        (x, y), r = head, 4.0
        corners = ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r))
        bridge(self.plan, self.who, f"JSN_{site}", corners)

    def _slipped(
        self, site: str, slip: float, head: Point, angle: float, space: float
    ) -> tuple[Point, float]:
        """Where a segment lies that has slipped toward the little finger, past the head before it.

        The ends overlap by 3-8 mm when a knuckle has slipped for good.
        """
        draw = stream(self.who.seed, "overlap", self.who.side, site)
        knuckle = site.startswith("MCP")
        if not knuckle:
            angle -= 0.14 * slip * self.play
        over = float(draw.uniform(3.0, 8.0)) if knuckle else 3.0
        lateral = (2.2, 4.8)[slip == 1.0]
        along = 0.5 * space - (over if slip == 1.0 else 0.0)
        u, ulnar = (sin(angle), cos(angle)), (-cos(angle), sin(angle))
        return (
            head[0] + u[0] * along + ulnar[0] * lateral,
            head[1] + u[1] * along + ulnar[1] * lateral,
        ), angle
