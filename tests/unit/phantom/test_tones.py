"""Tone and texture are those of films (phantom.md, section 12, points 4 and 5)."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_training.phantom import SubjectGrades, render_exposure
from ra_training.phantom.canvas import Canvas
from ra_training.phantom.grades import HEALTHY
from ra_training.phantom.grain import Grain, strands
from ra_training.phantom.tube import Tube
from tests.support.grain import smooth

BOTH = SubjectGrades(right=HEALTHY, left=HEALTHY)


def around(tone: NDArray[np.float32], at: NDArray[np.float32], half: int) -> NDArray[np.float32]:
    """A square of pixels about a place."""
    x, y = (round(float(v)) for v in at)
    return tone[y - half : y + half + 1, x - half : x + half + 1]


def rough(patch: NDArray[np.float32]) -> float:
    """SD of a patch about the curved surface that fits it best."""
    y, x = (v.ravel() for v in np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float64))
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], 1)
    values = patch.ravel().astype(np.float64)
    return float((values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]).std())


def tones() -> dict[str, float]:
    """Medians over hands of grey values 0-255."""
    rows = []
    for seed in range(16):
        shot = render_exposure(seed, BOTH, hands="right", height=640)
        tone, px = shot.display() * 255, shot.spacing_mm
        marks = shot.hands[0].landmarks
        wrist, knuckle = marks[0], marks[10]
        up = (knuckle - wrist) / np.hypot(*(knuckle - wrist))
        across = np.array([-up[1], up[0]])
        across *= np.sign(across @ (marks[2] - wrist))  # toward the thumb
        radius = wrist - up * 28 / px + across * 9 / px
        palm = (0.4 * (marks[9] + marks[5]) + 0.6 * (marks[10] + marks[6])) / 2
        half = round(2 / px)
        rows.append(
            (
                np.median(around(tone, (marks[10] + marks[11]) / 2, half)),
                np.median(around(tone, (marks[9] + marks[10]) / 2, half)),
                np.median(around(tone, radius, half)),
                np.median(around(tone, palm, round(1 / px))),
                np.percentile(tone[30:50, 60:480], 10),
                rough(around(tone, radius, round(3 / px))),
            )
        )
    names = ("phalanx", "metacarpal", "radius", "palm", "background", "texture")
    return dict(zip(names, np.median(rows, 0).tolist(), strict=True))


def test_latitude_is_compressed_as_detectors_do() -> None:
    """Real wrists: metacarpal to radius 203 to 237, flesh between metacarpals 141, field 25."""
    found = tones()
    assert 0.80 <= found["metacarpal"] / found["radius"] <= 0.95
    assert 0.70 <= found["phalanx"] / found["radius"] <= 0.92
    assert 0.48 <= found["palm"] / found["radius"] <= 0.68
    assert 12 <= found["background"] <= 40
    assert 3 <= found["texture"] <= 7


def width_mm(tile: NDArray[np.float32], axis: int, px: float) -> float:
    """Where the autocorrelation along an axis falls to one half."""
    field = tile - tile.mean()
    values = [1.0]
    while values[-1] > 0.5:
        step = len(values)
        values.append(float((np.roll(field, step, axis) * field).mean() / field.var()))
    before, after = values[-2], values[-1]
    return (len(values) - 2 + (before - 0.5) / (before - after)) * px


def test_strands_are_three_times_as_long_as_wide() -> None:
    px = 0.1
    tile = strands(4, px).tile
    assert 2.5 <= width_mm(tile, 0, px) / width_mm(tile, 1, px) <= 3.5


@pytest.mark.parametrize("degrees", [0, 40, 90])
def test_strands_run_along_their_bone(degrees: int) -> None:
    px, angle = 0.25, degrees * pi / 180
    direction = np.array([cos(angle), sin(angle)])
    base, head = 30 - 25 * direction, 30 + 25 * direction

    def bone(grain: Grain) -> NDArray[np.float32]:
        canvas = Canvas(240, 240, px)
        shape = {"shaft": 20.0, "base_width": 20.0, "head_width": 20.0, "cortex": 1.0}
        Tube(base=tuple(base), head=tuple(head), **shape).draw(canvas, grain)
        return canvas.bone

    field = (bone(strands(4, px)) - bone(smooth(px)))[90:150, 90:150]

    def alike(towards: NDArray[np.float64], mm: float) -> float:
        dx, dy = (round(float(v) * mm / px) for v in towards)
        a = field[10:-10, 10:-10]
        b = field[10 + dy : field.shape[0] - 10 + dy, 10 + dx : field.shape[1] - 10 + dx]
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    along, across = alike(direction, 1.0), alike(np.array([-direction[1], direction[0]]), 1.0)
    assert along > 0.5
    assert across < 0.3


def test_no_two_bones_share_their_strands() -> None:
    grain = strands(4, 0.3)
    down, right = np.meshgrid(
        np.arange(40, dtype=np.float32) * 0.3, np.arange(20, dtype=np.float32) * 0.3, indexing="ij"
    )
    parts = np.array([grain.bone(i).at(down, right).ravel() for i in range(128)])
    alike = np.abs(np.corrcoef(parts) - np.eye(128))
    assert alike.max() < 0.9
    assert np.mean(alike > 0.4) < 0.02


def test_strands_stay_with_their_subject() -> None:
    assert np.array_equal(strands(4, 0.3).tile, strands(4, 0.3).tile)
    assert not np.array_equal(strands(4, 0.3).tile, strands(5, 0.3).tile)
