"""Lengths, angles and spaces that a radiologist would measure, taken from the shapes of a hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_training.phantom import HandGrades, render_exposure, sample_grades, split
from ra_training.phantom.anatomy import CARPALS, ULNA_WIDTH
from ra_training.phantom.canvas import Canvas
from ra_training.phantom.grades import Prior, SubjectGrades
from ra_training.phantom.hand import build, clearance
from ra_training.phantom.plan import HandPlan, Subject
from ra_training.phantom.render import Pose
from ra_training.phantom.short import ANGLES, Short, radii
from ra_training.phantom.streams import stream
from ra_training.phantom.tube import Tube
from tests.unit.phantom.test_anatomy import subject

Points = NDArray[np.float64]
NEIGHBOURS = (
    ("S", "L"), ("L", "Tq"), ("S", "C"), ("L", "C"), ("C", "H"), ("Tq", "H"), ("S", "Td"),
    ("S", "Tm"), ("C", "Td"),
)  # fmt: skip
RADIUS, ULNA, INDEX = 0, 1, (5, 6, 7, 8)  # places among the tubes of a hand
KNUCKLES = tuple(f"{k}_MCP-{d}" for k in ("BE", "JSN") for d in "IMRS")
HURT = HandGrades(grades={site: 5 if site.startswith("BE") else 2 for site in KNUCKLES})
"""Knuckles as eroded as can be; none has slipped."""


def edge(bone: Short) -> Points:
    """(n, 2) outline of a short bone, mm."""
    angles = np.linspace(-np.pi, np.pi, 4 * ANGLES + 1)
    reach = np.interp(angles, np.linspace(-np.pi, np.pi, ANGLES + 1), radii(bone.outline))
    return np.stack(
        [
            bone.centre[0] + bone.size * reach * np.cos(angles),
            bone.centre[1] + bone.size * reach * np.sin(angles),
        ],
        1,
    )


def gap(a: Points, b: Points) -> float:
    """Median distance (mm) of the parts of two outlines that face each other."""
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    near = np.concatenate([distance.min(0), distance.min(1)])
    return float(np.median(near[near < near.min() + 1.2]))


def fingers(plan: HandPlan) -> Points:
    """(5, 4, 2): base, knuckle, middle joint and tip of each digit."""
    return np.array(plan.landmarks[1:]).reshape(5, 4, 2)


def angle(a: Points, b: Points) -> float:
    """Degrees from one vector to another, above 0 toward the thumb of a right hand."""
    return float(np.degrees(np.arctan2(a[1] * b[0] - a[0] * b[1], a @ b)))


@pytest.mark.parametrize("pair", NEIGHBOURS, ids="-".join)
def test_spaces_of_the_carpus_are_as_wide_as_spaces_are(pair: tuple[str, str]) -> None:
    gaps = []
    for seed in range(8):
        bones = dict(zip(CARPALS, build(subject(seed)).shorts, strict=False))
        gaps.append(gap(edge(bones[pair[0]]), edge(bones[pair[1]])))
    assert 1.5 <= np.median(gaps) <= 2.1
    assert min(gaps) > 1.1


def test_heads_of_metacarpals_fit_their_bases() -> None:
    """Radius of the head 7-8 mm in a man; the space keeps its width to either side."""
    heads = []
    for seed in range(30):
        who = subject(seed)
        metacarpal, phalanx = (build(who).tubes[i] for i in INDEX[:2])
        size = who.anatomy.widths
        heads.append(metacarpal.head_width / (4 * metacarpal.convex) / size)
        for off in (3.0, 5.0):
            more = drop(metacarpal, "head", off) - drop(phalanx, "base", off)
            assert -0.2 < more < 0.7, (seed, off)
    assert 7.0 <= np.mean(heads) <= 8.2


def drop(bone: Tube, end: str, off: float) -> float:
    """How much farther from the joint's middle an end's surface lies beside the axis, mm."""
    wide, share = (bone.head_width, bone.convex) if end == "head" else (bone.base_width, bone.cup)
    return 0.5 * wide * share * (off / (0.5 * wide)) ** 2


@pytest.mark.parametrize("prior", ["clinic", "early", "flat"])
def test_no_finger_crosses_another(prior: Prior) -> None:
    for seed in range(150):
        grades = sample_grades(seed, prior=prior)
        for side in ("left", "right"):
            who = replace(subject(seed), side=side, grades=grades.hand(side))
            assert clearance(build(who)) >= 5.0, (seed, side)


def test_metacarpals_lean_the_other_way_when_fingers_drift() -> None:
    leans, drifts = [], []
    for seed in range(60):
        calm, hurt = (fingers(build(replace(subject(seed), grades=g))) for g in (NONE, HURT))
        leans += [angle(calm[d, 1] - calm[d, 0], hurt[d, 1] - hurt[d, 0]) for d in range(1, 5)]
        drifts.append(
            [angle(h[1] - h[0], h[2] - h[1]) - angle(c[1] - c[0], c[2] - c[1])
             for c, h in zip(calm[1:], hurt[1:], strict=True)]
        )  # fmt: skip
    assert 3 <= np.median(leans) <= 10
    assert max(leans) <= 16
    assert -35 <= np.median(drifts) <= -8
    between = np.corrcoef(np.array(drifts).T)
    assert 0.65 <= between[np.triu_indices(4, 1)].mean() <= 0.97


NONE = HandGrades(grades={})


def test_seven_of_ten_knuckles_without_space_slip_and_overlap() -> None:
    slipped, overlaps = [], []
    for seed in range(120):
        who = subject(seed, JSN_MCP__I=4)
        slipped.append(who.slip("MCP", 1) == 1.0)
        if slipped[-1]:
            bones = build(who).tubes
            head, base = np.array(bones[INDEX[0]].head), np.array(bones[INDEX[1]].base)
            axis = np.array(bones[INDEX[1]].head) - base
            overlaps.append(float((head - base) @ axis / np.hypot(*axis)))
    assert 0.58 <= np.mean(slipped) <= 0.82
    assert min(overlaps) >= 2.5
    assert max(overlaps) <= 8.5


def test_bent_fingers_look_shorter() -> None:
    def lengths(grades: HandGrades) -> Points:
        found = []
        for seed in range(60):
            digits = fingers(build(replace(subject(seed), grades=grades)))
            found += [float(np.hypot(*(d[3] - d[2]))) for d in digits[1:]]
        return np.array(found)

    share = lengths(HURT) / lengths(NONE)
    assert 0.9 < np.mean(share) < 0.99
    assert share.min() > 0.6


def test_forearm_bones_end_as_they_do() -> None:
    """Radial height 11 mm, ulnar styloid 3-6 mm, variance within 3 mm, 1-2 mm between the two."""
    heights, styloids, variances, joints = [], [], [], []
    for seed in range(60):
        who = subject(seed)
        plan = build(who)
        radius, ulna = plan.tubes[RADIUS], plan.tubes[ULNA]
        styloid, ulnar = plan.blocks[0], plan.blocks[1]
        low = radius.head[1] - 0.5 * radius.head_width * radius.tilt_head
        heights.append(max(y for _, y in styloid.corners) - low)
        styloids.append(max(y for _, y in ulnar.corners) - ulna.head[1])
        variances.append(who.anatomy.ulnar_variance)
        joints.append(
            radius.head[0] - 0.5 * radius.head_width - (ulna.head[0] + 0.5 * ulna.head_width)
        )
        assert ulna.head_width == ULNA_WIDTH
    assert 9 <= np.mean(heights) <= 14
    assert all(3 <= s <= 6 for s in styloids)
    assert max(map(abs, variances)) <= 3
    assert 0.8 <= np.std(variances) <= 1.4
    assert all(1.0 <= j <= 2.0 for j in joints)


def test_wrists_turn() -> None:
    turns = []
    for seed in range(60):
        radius = build(subject(seed)).tubes[RADIUS]
        axis = np.subtract(radius.head, radius.base)
        turns.append(angle(np.array([0.0, 1.0]), axis))
    assert 2.5 <= np.std(turns) <= 5.5
    assert max(map(abs, turns)) <= 10.5


def test_flesh_of_fingers_is_as_wide_as_flesh_is() -> None:
    """A man's middle finger: 18-20 mm at the middle joint, 14-16 mm at the tip."""
    plan = build(subject())
    place = {tuple(c.b): c for c in plan.soft}
    _, _, middle, tip = (tuple(p) for p in fingers(plan)[2])
    joint = place[middle] if middle in place else nearest(plan, middle)
    assert 18 <= 2 * joint.r1 <= 20
    assert 14 <= 2 * nearest(plan, tip).r1 <= 16


def nearest(plan: HandPlan, at: tuple[float, ...]):  # type: ignore[no-untyped-def]
    """The capsule that ends nearest to a place."""
    return min(plan.soft, key=lambda c: np.hypot(*np.subtract(c.b, at)))


def test_webs_reach_half_way_along_the_first_phalanges() -> None:
    pose, px, reach = Pose(origin=(90.0, 200.0), angle=0.0, scale=1.0, sign=1.0), 0.5, []
    for seed in range(8):
        plan = build(subject(seed))
        canvas = Canvas(420, 360, px)
        for c in plan.soft:
            replace(c, a=pose.place(c.a), b=pose.place(c.b)).draw(canvas)
        for a, b in pairwise(fingers(plan)[1:]):
            low, high = (a[1] + b[1]) / 2, (a[2] + b[2]) / 2
            for share in np.linspace(0, 1, 101):
                x, y = pose.place(tuple(low + share * (high - low)))
                if canvas.soft[int(y / px), int(x / px)] < 0.5:
                    reach.append(float(share))
                    break
    assert 0.38 <= np.median(reach) <= 0.55


def test_sesamoids_are_peas() -> None:
    for seed in range(20):
        peas = [b for b in build(subject(seed)).shorts if b.thickness == 5.0]
        assert len(peas) == 2
        for pea in peas:
            width = np.ptp(edge(pea), 0)
            assert 2.9 <= width.mean() <= 5.2


def test_ring_and_little_metacarpals_are_narrower() -> None:
    plan = build(replace(subject(), anatomy=replace(subject().anatomy, short=None)))
    shafts = [plan.tubes[i].shaft for i in (5, 9, 13, 17)]
    assert shafts[2] < 0.93 * shafts[1]
    assert shafts[3] < 0.93 * shafts[1]


def test_some_plates_hold_two_exposures() -> None:
    healthy = SubjectGrades(right=NONE, left=NONE)
    shots = {s: int(stream(s, "shot", 0, 0).integers(2**31)) for s in range(400)}
    found = [s for s, shot in shots.items() if split.draw_split(shot) is not None]
    assert 0.02 <= len(found) / 400 <= 0.10
    for seed in found[:4]:
        shot = render_exposure(seed, healthy, height=320)
        shown, middle = shot.display(), shot.pixels.shape[1] // 2
        strip = shown[20:-20, middle - 12 : middle + 12].min(1)
        assert np.median(strip) < 0.03  # unexposed: darker than any background
        quiet = shown[30:90]
        spreads = [float(np.diff(quiet[:, part]).std()) for part in
                   (slice(middle - 60, middle - 20), slice(middle + 20, middle + 60))]  # fmt: skip
        assert spreads[0] != pytest.approx(spreads[1], rel=0.01)
        alone = render_exposure(seed, healthy, hands="right", height=320)
        assert alone.display()[60, alone.pixels.shape[1] // 2] > 0.03


def test_both_hands_of_a_split_plate_stay_beside_the_strip() -> None:
    healthy = SubjectGrades(right=NONE, left=NONE)
    for seed in range(400):
        if split.draw_split(int(stream(seed, "shot", 0, 0).integers(2**31))) is None:
            continue
        shot = render_exposure(seed, healthy, height=256)
        half = shot.pixels.shape[1] / 2
        right, left = (h.landmarks[:, 0] for h in shot.hands)
        assert right.max() < half
        assert left.min() > half


def test_the_turn_of_a_slipped_finger_takes_its_neighbours_along() -> None:
    who: Subject = next(
        w for w in (subject(s, JSN_MCP__I=4) for s in range(40)) if w.slip("MCP", 1)
    )
    turns = [who.turn(d) for d in (1, 2, 3, 4)]
    assert turns == sorted(turns, reverse=True)
    assert turns[-1] > 0.1
