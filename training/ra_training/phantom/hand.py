"""One hand in the hand frame: bones, soft tissue, landmarks and joints, from grades and anatomy."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import cos, exp, sin

from ra_training.phantom import damage
from ra_training.phantom.anatomy import (
    BASE,
    CARPAL_ONSET,
    CARPALS,
    DISTAL,
    FAN,
    GAP,
    METACARPAL,
    MIDDLE,
    PROXIMAL,
    SHAFT_BASE_HEAD,
    SPACE_LEFT,
    WIDTH,
    Anatomy,
)
from ra_training.phantom.canvas import Block, Capsule, Notch, Point, Tube
from ra_training.phantom.grades import HandGrades
from ra_training.phantom.sites import DIGITS
from ra_training.phantom.streams import stream

FOREARM_MM = 130.0
_FUSION = {"MC": 16.0, "PP": 16.0, "MP": 16.0, "DP": 15.0}


@dataclass(slots=True)
class HandPlan:
    """Shapes and truths of one hand, in the hand frame (mm).

    ``landmarks`` in the order of ``HandTruth.landmarks``; ``joints`` maps site -> (centre, radius).
    """

    tubes: list[Tube] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    soft: list[Capsule] = field(default_factory=list)
    landmarks: list[Point] = field(default_factory=list)
    joints: dict[str, tuple[Point, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Growth:
    """How far a child's hand is grown; an adult has ``age`` None."""

    age: float | None

    @property
    def part(self) -> float:
        """0 at birth, 1 when grown."""
        return 1.0 if self.age is None else min(1.0, max(0.0, (self.age - 0.5) / 15))

    @property
    def length(self) -> float:
        """Factor of segment lengths."""
        return 0.62 + 0.38 * self.part

    @property
    def width(self) -> float:
        """Factor of bone widths."""
        return 0.70 + 0.30 * self.part

    def plate(self, fusion: float) -> float:
        """Width of a growth plate in mm, 0 when closed."""
        if self.age is None or self.age >= fusion:
            return 0.0
        return 1.7 * (1 - max(0.0, (self.age - 3) / (fusion - 3))) + 0.25

    def carpal(self, name: str) -> float:
        """Size factor of a carpal bone, 0 before its centre appears."""
        if self.age is None:
            return 1.0
        onset = CARPAL_ONSET[name]
        grown = min(1.0, (self.age - onset) / (13 - onset))
        return 0.0 if grown <= 0 else 0.3 + 0.7 * grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Builds the hand of one side of a subject."""

    seed: int
    side: str
    grades: HandGrades
    anatomy: Anatomy
    growth: Growth
    pose_seed: int

    def build(self) -> HandPlan:
        """Draw carpus, forearm and five digits."""
        plan = HandPlan()
        plan.landmarks.append((0.0, 5.0))
        self._forearm(plan)
        self._carpus(plan)
        knuckles = [self._digit(plan, d) for d in range(5)]
        for a, b in pairwise(knuckles[1:]):
            plan.soft.append(Capsule(a=a, b=b, r0=12.5, r1=11.5))
        for k in knuckles[1:]:
            end = (k[0] * 0.9, 5 + (k[1] - 5) * 0.9)
            plan.soft.append(Capsule(a=(0, 5), b=end, r0=20, r1=15))
        plan.soft.append(Capsule(a=(0, 6), b=(-2, -150), r0=23, r1=25))
        plan.soft.append(Capsule(a=(6, 8), b=knuckles[0], r0=16, r1=13))
        return plan

    def _left(self, site: str) -> float:
        return SPACE_LEFT[self.grades.grade(site)]

    def _lost(self, site: str) -> float:
        return 1 - self._left(site)

    def _cortex(self, share: float) -> float:
        """Cortex in mm; it thins near the joints of a damaged hand (osteopenia)."""
        loss = 0.15 * (1 - exp(-self.grades.total / 50))
        return self.anatomy.cortex * share * (1 - loss) * (0.6 + 0.4 * self.growth.part)

    def _forearm(self, plan: HandPlan) -> None:
        g, width = self.growth, 0.75 + 0.25 * self.growth.part
        density = self.anatomy.density
        top: Point = (7.0, -9.2 - 1.6 * self._left("JSN_SR"))
        plan.joints["BE_R"] = ((10.0, top[1] - 4), 10.0)
        plan.joints["JSN_SR"] = ((6.0, -8.5), 9.0)
        notches = damage.marginal(
            self.seed, self.side, "BE_R", self.grades.grade("BE_R"),
            end=top, inward=(0.0, -1.0), width=24.0,
        )  # fmt: skip
        gap = g.plate(17.5)
        plan.tubes.append(
            Tube(
                base=(9.0, top[1] - FOREARM_MM), head=top, shaft=12, base_width=15,
                head_width=26 * width, cortex=2.2, density=density, depth=0.6, convex=0.16,
                notches=notches, plate=(FOREARM_MM - 7, gap) if gap else None,
            )
        )  # fmt: skip
        plan.blocks.append(
            Block(
                corners=((13.5, top[1] - 7), (19.6 * width, top[1] - 7),
                         (18.6 * width, top[1] + 2.6), (16.4 * width, top[1] + 3.4)),
                cortex=1.2, density=0.45 * density, thickness=8,
            )
        )  # fmt: skip
        ulna: Point = (-13.0, -12.0 + self.anatomy.ulnar_variance)
        plan.joints["BE_U"] = ((ulna[0], ulna[1] - 3), 8.0)
        notches = damage.marginal(
            self.seed, self.side, "BE_U", self.grades.grade("BE_U"),
            end=ulna, inward=(0.0, -1.0), width=14.0,
        )  # fmt: skip
        gap = g.plate(17.2)
        plan.tubes.append(
            Tube(
                base=(-10.0, ulna[1] - FOREARM_MM), head=ulna, shaft=9, base_width=12,
                head_width=14 * width, cortex=2.0, density=density, depth=0.78, convex=0.2,
                notches=notches, plate=(FOREARM_MM - 5, gap) if gap else None,
            )
        )  # fmt: skip
        x, y = ulna
        plan.blocks.append(
            Block(
                corners=((x - 6.4, y - 5), (x - 3.2, y - 5),
                         (x - 4.4, y + 3.4), (x - 5.8, y + 3.2)),
                cortex=0.8, density=0.5 * density, thickness=7, rounding=0.8,
            )
        )  # fmt: skip

    def _carpus(self, plan: HandPlan) -> None:
        lost = self._lost
        shift: dict[str, Point] = {
            "S": (-0.8 * lost("JSN_SC"), -1.4 * lost("JSN_SR") + 0.4 * lost("JSN_SC")),
            "L": (0.0, -1.4 * lost("JSN_SR")),
            "C": (0.9 * lost("JSN_SC"), 0.7 * lost("JSN_CMC-M") - 0.9 * lost("JSN_SC")),
            "H": (0.0, 0.7 * lost("JSN_CMC-R")),
            "Td": (0.0, -1.9 * lost("JSN_STT")),
            "Tm": (-0.8 * lost("JSN_STT"), -1.6 * lost("JSN_STT")),
        }
        for name, corners in CARPALS.items():
            size = self.growth.carpal(name)
            if size <= 0:
                continue
            dx, dy = shift.get(name, (0.0, 0.0))
            cx = sum(c[0] for c in corners) / len(corners)
            cy = sum(c[1] for c in corners) / len(corners)
            moved = tuple(
                (cx + (x - cx) * size + dx, cy + (y - cy) * size + dy) for x, y in corners
            )
            block = Block(corners=moved, cortex=0.8, density=self.anatomy.density)
            site = f"BE_{name}"
            if name in ("S", "L", "Tm"):
                plan.joints[site] = (block.centre, 9.0)
                bites = damage.carpal(self.seed, self.side, site, self.grades.grade(site), block)
                block = Block(
                    corners=moved, cortex=0.8, density=self.anatomy.density, notches=bites
                )
            plan.blocks.append(block)
        plan.joints["JSN_SC"] = ((3.5, 4.5), 6.0)
        plan.joints["JSN_STT"] = ((13.5, 9.8), 6.5)
        self._ankylosis(plan, "JSN_SC", ((1, 2), (6, 3), (6, 7), (1, 7)))
        self._ankylosis(plan, "JSN_STT", ((9.5, 6), (16, 7), (16, 13), (9.5, 13)))
        self._ankylosis(plan, "JSN_SR", ((-3, -10.5), (12, -10.5), (12, -5.5), (-3, -5.5)))

    def _ankylosis(self, plan: HandPlan, site: str, corners: tuple[Point, ...]) -> None:
        """Bone across a joint of grade 4: no line is left."""
        if self.grades.grade(site) == 4:
            plan.blocks.append(
                Block(corners=corners, cortex=0.1, density=0.6 * self.anatomy.density, thickness=9)
            )

    def _digit(self, plan: HandPlan, d: int) -> Point:
        """Draw one ray; return its knuckle."""
        pose = stream(self.pose_seed, "digit", self.side, d)
        angle = FAN[d] + float(pose.normal(0, 0.03 if d else 0.07))
        letter = DIGITS[d]
        names = ("MC", "PP", "MP", "DP") if d else ("MC", "PP", "DP")
        tables = {"MC": METACARPAL, "PP": PROXIMAL, "MP": MIDDLE, "DP": DISTAL}
        joints = ("MCP", "PIP", "DIP") if d else ("MCP", "IP")
        start = BASE[d]
        cmc = f"JSN_CMC-{letter}"
        if d >= 2:
            start = (start[0], start[1] - 1.5 * self._lost(cmc))
            plan.joints[cmc] = ((BASE[d][0], BASE[d][1] - 1), 6.0)
            x, y = BASE[d]
            self._ankylosis(
                plan, cmc, ((x - 5, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 5, y + 4))
            )
        plan.landmarks.append(start)
        knuckle = start
        for i, name in enumerate(names):
            u = (sin(angle), cos(angle))
            length = tables[name][d] * self.growth.length * self.anatomy.lengths[d][i]
            head = (start[0] + u[0] * length, start[1] + u[1] * length)
            self._segment(plan, d, i, name, start, head, u)
            if i == len(names) - 1:
                plan.landmarks.append(head)
                break
            kind = joints[i]
            site = f"{kind}-{letter}" if kind != "IP" else "IP"
            radius = 10.0 if kind == "MCP" else 7.5
            if kind != "DIP":
                plan.landmarks.append(head)
                plan.joints[f"BE_{site}"] = (head, radius)
            if kind in ("MCP", "PIP"):
                plan.joints[f"JSN_{site}"] = (head, radius)
            if i == 0:
                knuckle = head
            start, angle = self._cross(plan, d, kind, site, head, angle)
        return knuckle

    def _segment(
        self, plan: HandPlan, d: int, i: int, name: str, base: Point, head: Point, u: Point
    ) -> None:
        width = WIDTH[d] * self.growth.width * self.anatomy.widths
        shaft, wide_base, wide_head = (w * width for w in SHAFT_BASE_HEAD[name])
        letter = DIGITS[d]
        notches: tuple[Notch, ...] = ()
        if name == "MC" and d == 0:
            site = "BE_CMC-T"
            plan.joints[site] = (base, 8.0)
            notches += damage.marginal(
                self.seed, self.side, site, self.grades.grade(site),
                end=base, inward=u, width=wide_base,
            )  # fmt: skip
        site = {"MC": f"BE_MCP-{letter}", "PP": f"BE_PIP-{letter}" if d else "BE_IP"}.get(name, "")
        if site:
            notches += damage.marginal(
                self.seed, self.side, site, self.grades.grade(site),
                end=head, inward=(-u[0], -u[1]), width=wide_head,
            )  # fmt: skip
        before = {"PP": f"BE_MCP-{letter}", "MP": f"BE_PIP-{letter}"}.get(name, "")
        if before and self.grades.grade(before) >= 4:
            notches += damage.marginal(
                self.seed, self.side, before + "/distal", self.grades.grade(before) - 2,
                end=base, inward=u, width=wide_base,
            )  # fmt: skip
        gap = self.growth.plate(_FUSION[name])
        length = ((head[0] - base[0]) ** 2 + (head[1] - base[1]) ** 2) ** 0.5
        grown = 0.5 + 0.5 * self.growth.part
        place = length - 5.5 * grown if name == "MC" and d else 4.0 * grown
        share = {"MC": 1.0, "PP": 0.9, "MP": 0.75, "DP": 0.6}[name]
        plan.tubes.append(
            Tube(
                base=base, head=head, shaft=shaft, base_width=wide_base, head_width=wide_head,
                cortex=self._cortex(share), density=self.anatomy.density, notches=notches,
                convex=0.46 if name == "MC" else 0.3, plate=(place, gap) if gap else None,
            )
        )  # fmt: skip
        swell = 1 + 0.10 * (self.grades.grade(f"BE_PIP-{letter}") > 1)
        r0, r1 = (12.0, 10.6) if name == "MC" else (11.4 - 1.3 * i, 10.2 - 1.3 * i)
        tip = (head[0] + u[0] * 3, head[1] + u[1] * 3) if name == "DP" else head
        plan.soft.append(Capsule(a=base, b=tip, r0=r0 * swell, r1=r1))

    def _cross(
        self, plan: HandPlan, d: int, kind: str, site: str, head: Point, angle: float
    ) -> tuple[Point, float]:
        """Cross a joint: where the next segment starts, and its direction."""
        grade = self.grades.grade(f"JSN_{site}")
        space = GAP[kind] * SPACE_LEFT[grade]
        if kind == "DIP":
            space *= 1 - self.anatomy.osteoarthritis[d]
        if self.growth.age is not None:
            space *= 1.6 - 0.6 * self.growth.part
        draw = stream(self.seed, "luxation", self.side, site)
        luxated = kind in ("MCP", "PIP") and (
            (grade == 3 and draw.random() < 0.4) or (grade == 4 and draw.random() < 0.6)
        )
        bend = float(stream(self.pose_seed, "bend", self.side, site).normal(0, 0.025))
        if kind == "MCP" and d:
            bend -= 0.18 * min(1.0, self.grades.total / 110)  # ulnar drift of a damaged hand
        u = (sin(angle), cos(angle))
        if not luxated:
            if grade == 4 and kind in ("MCP", "PIP"):
                r = 4.0
                self._ankylosis(
                    plan, f"JSN_{site}",
                    ((head[0] - r, head[1] - r), (head[0] + r, head[1] - r),
                     (head[0] + r, head[1] + r), (head[0] - r, head[1] + r)),
                )  # fmt: skip
            return (head[0] + u[0] * space, head[1] + u[1] * space), angle + bend
        turn = (0.15 if grade == 3 else 0.28) * (1.0 if kind == "MCP" else 0.5)
        angle = angle + bend - turn
        u = (sin(angle), cos(angle))
        ulnar = (-cos(angle), sin(angle))
        lateral = (0.18 if grade == 3 else 0.40) * 12.0
        along = space * 0.5 - (0.0 if grade == 3 else 3.0)
        return (
            head[0] + u[0] * along + ulnar[0] * lateral,
            head[1] + u[1] * along + ulnar[1] * lateral,
        ), angle
