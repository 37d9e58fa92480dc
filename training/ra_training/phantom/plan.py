"""What a hand is made of before it is drawn, and what its makers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, radians

from ra_training.phantom.anatomy import CARPAL_ONSET, SPACE_LEFT, Anatomy
from ra_training.phantom.block import Block
from ra_training.phantom.canvas import Point
from ra_training.phantom.grades import HandGrades
from ra_training.phantom.nuisance import SPREADS
from ra_training.phantom.short import Short
from ra_training.phantom.sites import DIGITS
from ra_training.phantom.soft import Capsule
from ra_training.phantom.streams import stream
from ra_training.phantom.tube import Tube


@dataclass(slots=True)
class HandPlan:
    """Shapes and truths of one hand, in the hand frame (mm).

    ``landmarks`` in the order of ``HandTruth.landmarks``; ``joints`` maps site -> (centre, radius).
    """

    tubes: list[Tube] = field(default_factory=list)
    shorts: list[Short] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    soft: list[Capsule] = field(default_factory=list)
    landmarks: list[Point] = field(default_factory=list)
    joints: dict[str, tuple[Point, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Growth:
    """How far a child's hand is grown; an adult has ``age`` None.

    ``female`` shifts every date by two years, as girls ripen earlier.
    """

    age: float | None
    female: bool = False

    @property
    def bone_age(self) -> float | None:
        """Years of a boy whose bones are as ripe; None for an adult."""
        if self.age is None:
            return None
        return self.age + (2.0 * min(1.0, self.age / 10) if self.female else 0.0)

    @property
    def part(self) -> float:
        """0 at birth, 1 when grown."""
        age = self.bone_age
        return 1.0 if age is None else min(1.0, max(0.0, (age - 0.5) / 15))

    @property
    def length(self) -> float:
        """Factor of segment lengths."""
        return 0.62 + 0.38 * self.part

    @property
    def width(self) -> float:
        """Factor of bone widths."""
        return 0.70 + 0.30 * self.part

    def plate(self, fusion: float) -> float:
        """Width of a growth plate in mm, 0 when closed; ``fusion`` in years of a boy."""
        age = self.bone_age
        if age is None or age >= fusion:
            return 0.0
        return 1.7 * (1 - max(0.0, (age - 3) / (fusion - 3))) + 0.25

    def carpal(self, name: str) -> float:
        """Size factor of a carpal bone, 0 before its centre appears."""
        age = self.bone_age
        if age is None:
            return 1.0
        onset = CARPAL_ONSET[name]
        grown = min(1.0, (age - onset) / (13 - onset))
        return 0.0 if grown <= 0 else 0.3 + 0.7 * grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One hand of a subject as its makers see it: who, how damaged, how grown, how it lies."""

    seed: int
    side: str
    grades: HandGrades
    anatomy: Anatomy
    growth: Growth
    pose_seed: int
    missing: int | None = None
    """Digit of which only the metacarpal is there."""

    def left(self, site: str) -> float:
        """Part of a joint space that is left, 0..1."""
        return SPACE_LEFT[self.grades.grade(site)]

    def lost(self, site: str) -> float:
        """Part of a joint space that is lost, 0..1."""
        return 1 - self.left(site)

    def space(self, site: str) -> float:
        """Factor of a healthy joint space: of the subject and of this joint, about 1."""
        own = SPREADS["joint"].draw(stream(self.seed, "space", self.side, site))
        return self.anatomy.space * own

    @property
    def activity(self) -> float:
        """How much the disease took from the bone as a whole, 0..1."""
        return self.anatomy.frailty * (1 - exp(-self.grades.total / 60)) / 1.6

    @property
    def porosis(self) -> float:
        """Mineral lost beside the joints, 0..1: by age and by disease."""
        return min(0.6, self.anatomy.porosis + 0.3 * self.activity)

    def cortex(self, share: float) -> float:
        """Cortex of a bone in mm; it thins with disease, more in some than in others."""
        loss = 0.25 * self.activity
        return self.anatomy.cortex * share * (1 - loss) * (0.6 + 0.4 * self.growth.part)

    @property
    def wrist(self) -> float:
        """Turn of the forearm against the hand, rad; above 0 its far end lies toward the thumb."""
        return radians(SPREADS["wrist"].draw(stream(self.pose_seed, "wrist", self.side)))

    @property
    def drift(self) -> float:
        """Ulnar drift of the fingers, rad: damage of the finger knuckles lets them go."""
        sites = [f"{kind}_MCP-{d}" for kind in ("BE", "JSN") for d in "IMRS"]
        worn = min(1.0, sum(map(self.grades.grade, sites)) / 30)
        return self.anatomy.lean * (0.06 + 0.32 * worn)

    def slip(self, kind: str, d: int) -> float:
        """How far a joint of a finger has slipped, 0, or from 0.5 (some of grade 3) to 1.

        Args:
            kind: ``MCP`` or ``PIP``; at grade 4 seven of ten knuckles slip.
        """
        site = f"{kind}-{DIGITS[d]}"
        grade = self.grades.grade(f"JSN_{site}")
        chance = float(stream(self.seed, "luxation", self.side, site).random())
        if grade == 4 and chance < 0.7:
            return 1.0
        return 0.5 if grade == 3 and chance < 0.35 else 0.0

    def turn(self, d: int) -> float:
        """Turn of a finger at its knuckle toward the little one, rad.

        What has slipped leans on its neighbours and turns them as well: fingers do not cross.
        """
        return max(0.28 * self.slip("MCP", i) * 0.85 ** (d - i) for i in range(1, d + 1))

    def bridged(self, site: str) -> bool:
        """Whether a joint without space has grown together: four of five do."""
        if self.grades.grade(site) != 4:
            return False
        return bool(stream(self.seed, "ankylosis", self.side, site).random() < 0.8)
