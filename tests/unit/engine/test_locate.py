"""Hands from the locator's maps; what is no hand is not made one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle, write_sums
from ra_engine.errors import BundleError
from ra_engine.locate import Locator, hands_of, implausibility
from ra_engine.manifest import LocatorTable
from ra_engine.spec import EngineSpec
from ra_engine.testing import sample_landmarks
from ra_engine.types import Radiograph
from tests.support.bundles import locator_bundle, score_bundle

TABLE = LocatorTable(centre=0.3, landmark=0.2, plausibility=1.0, distance=2.0)
CELLS = 64


def maps(*hands: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat and offsets that a perfect locator would give for hands in cells."""
    heat = np.zeros((22, CELLS, CELLS), np.float32)
    offset = np.zeros((42, CELLS, CELLS), np.float32)
    cell = np.arange(CELLS)
    for points in hands:
        for channel, (x, y) in enumerate([*points, points[10]]):
            gx, gy = np.exp(-0.5 * ((cell - x) / 1.3) ** 2), np.exp(-0.5 * ((cell - y) / 1.3) ** 2)
            heat[channel] = np.maximum(heat[channel], gy[:, None] * gx[None])
        cx, cy = (round(float(v)) for v in points[10])
        for y in range(cy - 2, cy + 3):
            for x in range(cx - 2, cx + 3):
                offset[:, y, x] = ((points - (x, y)) / CELLS).ravel()
    return heat, offset


def turned(points: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    angle = np.deg2rad(degrees)
    middle = points.mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - middle) @ turn.T + middle).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 25, 90, 180])
def test_one_hand_comes_back_in_place(degrees: float) -> None:
    points = turned(sample_landmarks(30, 50, 16), degrees)
    (hand,) = hands_of(*maps(points), TABLE)
    assert np.abs(hand.points * CELLS - 0.5 - points).max() < 0.35
    assert hand.confidence > 0.8


def test_two_hands_come_back_and_three_are_not_hidden() -> None:
    hands = [sample_landmarks(x, 40, 10) for x in (12, 32, 52)]
    assert len(hands_of(*maps(*hands[:2]), TABLE)) == 2
    assert len(hands_of(*maps(*hands), TABLE)) == 3


def test_a_second_peak_on_the_same_hand_is_no_second_hand() -> None:
    points = sample_landmarks(30, 50, 20)
    heat, offset = maps(points)
    x, y = (round(float(v)) for v in points[10])
    heat[21, y + 4, x] = 0.9
    offset[:, y + 4, x] = ((points - (x, y + 4)) / CELLS).ravel()
    assert len(hands_of(heat, offset, TABLE)) == 1


def test_hands_that_nearly_coincide_are_one() -> None:
    points = sample_landmarks(25, 55, 20)
    near = points + np.array([7, 0], np.float32)
    assert len(hands_of(*maps(points, near), TABLE)) == 1


def test_a_peak_without_landmarks_is_no_hand() -> None:
    heat, offset = maps(sample_landmarks(30, 50, 16))
    heat[:21] = 0
    assert hands_of(heat, offset, TABLE) == []


def test_a_peak_with_landmarks_in_disorder_is_no_hand() -> None:
    points = sample_landmarks(30, 50, 16)
    shuffled = np.random.default_rng(0).permutation(points)
    assert hands_of(*maps(shuffled), TABLE) == []


def test_a_quiet_map_holds_no_hand() -> None:
    heat, offset = maps(sample_landmarks(30, 50, 16))
    assert hands_of(0.25 * heat, offset, TABLE) == []


def test_landmarks_off_the_map_do_not_break_the_decoder() -> None:
    points = sample_landmarks(30, 50, 16)
    points[0] = (30, 90)
    heat, offset = maps(points)
    hands_of(heat, offset, TABLE)
    offset[:] = np.nan
    assert hands_of(heat, offset, TABLE) == []


def test_proportions_of_a_hand_are_plausible_at_any_size_and_angle() -> None:
    for degrees in (0, 77, 200):
        for span in (5, 500):
            assert implausibility(turned(sample_landmarks(0, 0, span), degrees)) < 0.7
    assert implausibility(np.zeros((21, 2), np.float32)) == float("inf")


def test_random_points_are_implausible() -> None:
    random = np.random.default_rng(3)
    worst = [implausibility(random.random((21, 2)).astype(np.float32)) for _ in range(200)]
    assert min(worst) > 1


def test_fingers_in_the_wrong_order_are_implausible() -> None:
    points = sample_landmarks(30, 50, 16)
    swapped = points.copy()
    swapped[5:9], swapped[17:21] = points[17:21], points[5:9]
    assert implausibility(swapped) > 1


@pytest.fixture
def locator(tmp_path: Path) -> Locator:
    bundle = load_bundle(locator_bundle(tmp_path / "finder"))
    return Locator(OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1)), bundle)


def test_a_radiograph_is_located(locator: Locator) -> None:
    """The graph always sees the same hand: wrist at cell (32, 52), 18 cells to the knuckle."""
    pixels = np.random.default_rng(4).integers(0, 4096, (512, 512), dtype=np.uint16)
    located = locator.locate(Radiograph(pixels=pixels))
    (view,) = located.hands
    assert view.index == 0
    assert tuple(view.landmarks[0]) == pytest.approx((32.5 * 8 - 0.5, 52.5 * 8 - 0.5), abs=3)
    assert located.probabilities["hand"] > 0.99
    assert sum(located.probabilities.values()) == pytest.approx(1)
    assert located.open_physes < 0.05
    assert 0 < located.distance < 1


class Scripted:
    """A session that sees what a test says, look by look: a hand, doubt or nothing."""

    key, precision, device = "scripted", "fp32", "cpu"

    def __init__(self, *looks: str) -> None:
        self.looks = list(looks)
        self.seen = 0

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        look = self.looks[self.seen]
        self.seen += 1
        heat, offset = maps(sample_landmarks(20, 52, 18))
        height = {"hand": 1.0, "faint": 0.35, "odd": 1.0, "unsure": 1.0, "nothing": 0.0}[look]
        logit = {"nothing": -9.0, "unsure": 2.0}.get(look, 9.0)
        return {
            "heat": height * heat[None],
            "offset": offset[None],
            "kind": np.array([[logit, 0, 0, 0]], np.float32),
            "physes": np.array([[-4.0]], np.float32),
            "embedding": np.full((1, 4), {"odd": 0.9}.get(look, 0.1), np.float32),
        }


def scripted(locator: Locator, *looks: str) -> tuple[Locator, Scripted]:
    session = Scripted(*looks)
    locator._session = session
    return locator, session


PLAIN = Radiograph(pixels=np.zeros((512, 512), np.uint16))


def test_an_image_that_shows_a_hand_is_looked_at_once(locator: Locator) -> None:
    for look in ("hand", "faint", "odd", "unsure"):
        found, session = scripted(locator, look)
        assert len(found.locate(PLAIN).hands) == 1
        assert session.seen == 1, look


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_hand_is_placed_in_the_stored_image(locator: Locator, turn: int) -> None:
    looks = ["hand" if n == turn else "nothing" for n in range(4)]
    found, session = scripted(locator, *looks)
    (view,) = found.locate(PLAIN).hands
    assert session.seen == 4
    x, y = 20.5 * 8 - 0.5, 52.5 * 8 - 0.5  # of the wrist in the image that was turned
    stored = {1: (511 - y, x), 2: (511 - x, 511 - y), 3: (y, 511 - x)}
    assert tuple(view.landmarks[0]) == pytest.approx(stored[turn], abs=3)


@pytest.mark.parametrize("doubt", ["faint", "odd", "unsure", "nothing"])
def test_a_turned_image_must_be_surer_than_an_upright_one(locator: Locator, doubt: str) -> None:
    found, session = scripted(locator, "nothing", doubt, "nothing", doubt)
    located = found.locate(PLAIN)
    assert session.seen == 4
    assert located.hands == ()
    assert located.probabilities["hand"] < 0.5, "what is told is what the image shows as it lies"


def test_a_bundle_that_is_no_locator_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle(score_bundle(tmp_path / "b"))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    with pytest.raises(BundleError, match=r"has no \[locator\]"):
        Locator(session, bundle)


def test_statistics_without_their_arrays_are_refused(tmp_path: Path) -> None:
    folder = locator_bundle(tmp_path / "b")
    np.savez(folder / "stats.npz", mean=np.zeros(4))
    write_sums(folder)
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="must hold mean and precision"):
        Locator(OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1)), bundle)
