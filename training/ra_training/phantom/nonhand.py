"""Images that are no whole hand: they train and test the input gate."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np

from ra_training.phantom.anatomy import draw_anatomy
from ra_training.phantom.block import Block
from ra_training.phantom.canvas import Canvas, Point
from ra_training.phantom.exposure import Exposure
from ra_training.phantom.grades import sample_grades
from ra_training.phantom.grain import Grain, strands
from ra_training.phantom.hand import build
from ra_training.phantom.plan import Growth, Subject
from ra_training.phantom.render import Pose, draw_plan, finish
from ra_training.phantom.soft import Capsule
from ra_training.phantom.streams import stream
from ra_training.phantom.tube import Tube

KINDS = (
    "foot", "wrist", "empty", "long_bone", "knee", "chest", "skull", "pelvis", "blobs", "fingers",
    "elbow", "spine", "texture",
)  # fmt: skip


def render_nonhand(kind: str, seed: int, *, height: int = 512) -> Exposure:
    """Render one image of ``kind`` (one of ``KINDS``), rows = ``height``.

    Raises:
        KeyError: no such kind.
    """
    draw = stream(seed, "nonhand", kind)
    columns = int(height * draw.uniform(0.75, 1.3))
    canvas = Canvas(height, columns, float(draw.uniform(180, 420)) / height)
    grain = strands(seed, canvas.px)
    _DRAWERS[kind](canvas, grain, draw, seed)
    if kind not in ("wrist", "fingers"):
        _turn(canvas, draw)
    return finish(canvas, seed, marker="L" if draw.random() < 0.5 else "R")


def _turn(canvas: Canvas, draw: np.random.Generator) -> None:
    """Any of four rotations and a mirror: organs come in every orientation."""
    quarter = int(draw.integers(4))
    for name in ("bone", "soft"):
        image = np.rot90(getattr(canvas, name), quarter)
        if draw.random() < 0.5:
            image = image[:, ::-1]
        setattr(canvas, name, np.ascontiguousarray(image))
    canvas.rows, canvas.columns = canvas.bone.shape


def _size(canvas: Canvas) -> tuple[float, float]:
    return canvas.columns * canvas.px, canvas.rows * canvas.px


def _bone(
    canvas: Canvas, grain: Grain, a: Point, b: Point, widths: tuple[float, float, float],
    cortex: float = 2.5,
) -> None:  # fmt: skip
    Tube(
        base=a, head=b, shaft=widths[0], base_width=widths[1], head_width=widths[2], cortex=cortex
    ).draw(canvas, grain)


def _foot(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    k = min(w / 130, h / 260)
    x0 = w / 2
    for d in range(5):
        lean = (d - 1.2) * 0.09 + float(draw.normal(0, 0.02))
        x, y = x0 + (d - 2) * 15 * k, h * 0.58
        lengths = (62, 30, 20) if d == 0 else (70 - 3 * d, 22, 9, 8)
        thick = 1.45 if d == 0 else 0.85
        for i, length in enumerate(lengths):
            nx, ny = x + sin(lean) * length * k, y - cos(lean) * length * k
            _bone(canvas, grain, (x, y), (nx, ny), tuple(v * k * thick for v in (8, 13, 12)))  # type: ignore[arg-type]
            Capsule(a=(x, y), b=(nx, ny), r0=(13 - i) * k, r1=(11 - i) * k).draw(canvas)
            x, y = nx + sin(lean) * 2 * k, ny - cos(lean) * 2 * k
    for _ in range(6):
        cx, cy = x0 + float(draw.uniform(-30, 30)) * k, h * 0.58 + float(draw.uniform(8, 38)) * k
        _polygon(canvas, grain, draw, cx, cy, float(draw.uniform(11, 17)) * k)
    _polygon(canvas, grain, draw, x0, h * 0.58 + 70 * k, 30 * k)
    Capsule(a=(x0, h * 0.5), b=(x0, h * 0.58 + 80 * k), r0=40 * k, r1=32 * k).draw(canvas)


def _polygon(
    canvas: Canvas, grain: Grain, draw: np.random.Generator, cx: float, cy: float, r: float
) -> None:
    n = int(draw.integers(4, 8))
    start = float(draw.uniform(0, 2 * pi))
    corners = tuple(
        (cx + cos(start + 2 * pi * i / n) * r, cy + sin(start + 2 * pi * i / n) * r * 0.9)
        for i in range(n)
    )
    Block(corners=corners, cortex=0.9, thickness=max(6.0, 1.2 * r)).draw(canvas, grain)


def _part_of_hand(canvas: Canvas, grain: Grain, seed: int, y: float, zoom: float) -> None:
    """A hand whose wrist lies at ``y`` (share of the height), magnified so that it overflows."""
    draw = stream(seed, "part")
    side = "right" if draw.random() < 0.5 else "left"
    grades = sample_grades(seed, prior="flat")
    who = Subject(
        seed=seed, side=side, grades=grades.hand(side), anatomy=draw_anatomy(seed),
        growth=Growth(None), pose_seed=seed,
    )  # fmt: skip
    w, h = _size(canvas)
    sign = 1.0 if side == "right" else -1.0
    scale = zoom * h / 230
    pose = Pose(
        origin=(w / 2 - sign * 6 * scale + float(draw.normal(0, 5)), y * h),
        angle=float(draw.normal(0, 0.12)), scale=scale, sign=sign,
    )  # fmt: skip
    draw_plan(build(who), pose, canvas, grain)


def _wrist(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    _part_of_hand(
        canvas, grain, seed, float(draw.uniform(0.38, 0.6)), float(draw.uniform(1.9, 3.0))
    )


def _fingers(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    zoom = float(draw.uniform(1.3, 2.2))
    _part_of_hand(canvas, grain, seed, 1.0 + 0.4 * zoom * float(draw.uniform(0.4, 1.0)), zoom)


def _empty(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    """Nothing but the plate: sometimes a flat shadow."""
    if draw.random() < 0.5:
        canvas.soft += np.float32(draw.uniform(0, 60))


def _long_bone(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    x, k = w * float(draw.uniform(0.35, 0.6)), float(draw.uniform(0.7, 1.8))
    lean = float(draw.normal(0, 0.08)) * h
    top, bottom = float(draw.uniform(-0.3, 0.25)) * h, float(draw.uniform(0.8, 1.4)) * h
    _bone(canvas, grain, (x - lean, bottom), (x, top), (26 * k, 40 * k, 52 * k), 5 * k)
    if draw.random() < 0.6:
        gap = 34 * k
        _bone(canvas, grain, (x + gap - lean, bottom), (x + gap, top + 8), (11 * k, 15 * k, 18 * k))
    if draw.random() < 0.5:
        _polygon(canvas, grain, draw, x, top - 18 * k, 24 * k)
    Capsule(a=(x, -20), b=(x - lean, h + 20), r0=50 * k, r1=38 * k).draw(canvas)


def _knee(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    x, y, k = w / 2, h * float(draw.uniform(0.4, 0.6)), float(draw.uniform(0.9, 1.6))
    _bone(canvas, grain, (x, -60), (x, y - 3 * k), (30 * k, 30 * k, 76 * k), 5 * k)
    _bone(canvas, grain, (x, h + 60), (x, y + 3 * k), (28 * k, 28 * k, 72 * k), 5 * k)
    _bone(canvas, grain, (x + 34 * k, h + 60), (x + 38 * k, y + 22 * k), (11 * k, 12 * k, 18 * k))
    Capsule(a=(x, -20), b=(x, h + 20), r0=70 * k, r1=52 * k).draw(canvas)


def _elbow(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    x, y, k = w / 2, h * 0.5, float(draw.uniform(0.9, 1.6))
    _bone(canvas, grain, (x, -60), (x, y), (20 * k, 22 * k, 56 * k), 4 * k)
    _bone(canvas, grain, (x - 20 * k, h + 60), (x - 12 * k, y + 4), (14 * k, 14 * k, 28 * k), 3 * k)
    _bone(canvas, grain, (x + 18 * k, h + 60), (x + 14 * k, y + 4), (12 * k, 12 * k, 20 * k), 3 * k)
    Capsule(a=(x, -20), b=(x, h + 20), r0=42 * k, r1=36 * k).draw(canvas)


def _chest(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    canvas.soft += np.float32(draw.uniform(50, 110))
    lung = float(draw.uniform(30, 70))
    yy, xx = np.mgrid[: canvas.rows, : canvas.columns].astype(np.float32)
    for sx in (0.3, 0.7):
        r2 = ((xx / canvas.columns - sx) / 0.17) ** 2 + ((yy / canvas.rows - 0.48) / 0.34) ** 2
        canvas.soft -= np.float32(lung) * np.clip(1.4 - r2, 0, 1)
    heart = ((xx / canvas.columns - 0.55) / 0.16) ** 2 + ((yy / canvas.rows - 0.64) / 0.18) ** 2
    canvas.soft += np.float32(40) * np.clip(1.3 - heart, 0, 1)
    np.clip(canvas.soft, 0, None, out=canvas.soft)
    for i in range(int(draw.integers(6, 11))):
        y = h * (0.12 + 0.075 * i)
        for sign in (-1, 1):
            a = (w / 2 + sign * 8, y)
            b = (w / 2 + sign * w * 0.24, y + h * 0.02)
            c = (w / 2 + sign * w * 0.42, y + h * 0.11)
            for p, q in ((a, b), (b, c)):
                _bone(canvas, grain, p, q, (w * 0.022,) * 3, 1.0)
    _spine(canvas, grain, draw, seed)


def _spine(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    step = h / float(draw.integers(6, 14))
    half = step * float(draw.uniform(0.5, 0.8))
    y = -step / 2
    while y < h + step:
        x = w / 2 + float(draw.normal(0, 1))
        corners = (
            (x - half, y),
            (x + half, y),
            (x + half, y + 0.8 * step),
            (x - half, y + 0.8 * step),
        )
        Block(corners=corners, cortex=1.2, thickness=16).draw(canvas, grain)
        y += step
    Capsule(a=(w / 2, -20), b=(w / 2, h + 20), r0=w * 0.35, r1=w * 0.35).draw(canvas)


def _skull(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    yy, xx = np.mgrid[: canvas.rows, : canvas.columns].astype(np.float32)
    r = np.sqrt(
        ((xx / canvas.columns - 0.5) / float(draw.uniform(0.3, 0.42))) ** 2
        + ((yy / canvas.rows - 0.48) / float(draw.uniform(0.34, 0.44))) ** 2
    )
    canvas.bone += np.float32(draw.uniform(0.6, 1.6)) * np.exp(-(((r - 1) / 0.035) ** 2))
    canvas.soft += np.float32(draw.uniform(40, 100)) * np.clip(1.1 - r, 0, 1)
    w, h = _size(canvas)
    for _ in range(int(draw.integers(2, 9))):
        _polygon(
            canvas, grain, draw, w * float(draw.uniform(0.3, 0.7)),
            h * float(draw.uniform(0.35, 0.8)), float(draw.uniform(6, 26)),
        )  # fmt: skip


def _pelvis(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    w, h = _size(canvas)
    canvas.soft += np.float32(draw.uniform(50, 120))
    for sign in (-1, 1):
        _polygon(canvas, grain, draw, w / 2 + sign * w * 0.24, h * 0.35, w * 0.2)
        a = (w / 2 + sign * w * 0.4, h + 40)
        _bone(canvas, grain, a, (w / 2 + sign * w * 0.28, h * 0.62), (26, 30, 44), 5)
    _spine(canvas, grain, draw, seed)


def _blobs(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    """Discs and rings, as a slice through the body looks."""
    yy, xx = np.mgrid[: canvas.rows, : canvas.columns].astype(np.float32)
    x, y = xx / canvas.columns, yy / canvas.rows
    for i in range(int(draw.integers(3, 14))):
        cx, cy = draw.uniform(0.2, 0.8, 2)
        rx, ry = draw.uniform(0.03, 0.45 if i == 0 else 0.2, 2)
        r = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2).astype(np.float32)
        canvas.soft += np.float32(draw.uniform(5, 60)) * np.clip((1.05 - r) * 8, 0, 1)
        if draw.random() < 0.5:
            ring = np.exp(-(((r - 1) / 0.06) ** 2))
            canvas.bone += np.float32(draw.uniform(0.2, 1.2)) * ring


def _texture(canvas: Canvas, grain: Grain, draw: np.random.Generator, seed: int) -> None:
    """Smooth noise of a random coarseness: no anatomy at all."""
    from scipy.ndimage import gaussian_filter

    noise = draw.standard_normal((canvas.rows, canvas.columns), dtype=np.float32)
    sigma = float(np.exp(draw.uniform(0.5, 3.7)))
    field = gaussian_filter(noise, sigma)
    canvas.soft += np.float32(40) + np.float32(25) * field / np.float32(field.std() + 1e-9)
    np.clip(canvas.soft, 0, None, out=canvas.soft)


_DRAWERS = {
    "foot": _foot, "wrist": _wrist, "empty": _empty, "long_bone": _long_bone, "knee": _knee,
    "chest": _chest, "skull": _skull, "pelvis": _pelvis, "blobs": _blobs, "fingers": _fingers,
    "elbow": _elbow, "spine": _spine, "texture": _texture,
}  # fmt: skip
