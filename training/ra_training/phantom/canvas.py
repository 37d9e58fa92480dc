"""Drawing primitives: bone adds attenuation, soft tissue keeps the longest path."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, cos, hypot, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
_Real = NDArray[np.floating[Any]]  # numpy's stubs widen float32 arrays that meet Python floats
Point = tuple[float, float]
MU_CORTICAL, MU_TRABECULAR = 0.105, 0.030  # 1/mm, near 50 kVp


@dataclass(frozen=True, slots=True, kw_only=True)
class Notch:
    """An erosion: a disc (centre and radius in mm) that takes ``depth`` (0..1) of the bone."""

    x: float
    y: float
    radius: float
    depth: float


@dataclass(slots=True)
class Canvas:
    """Line integrals of bone (dimensionless) and soft tissue (mm) on a pixel grid.

    Attributes:
        rows, columns: size in pixels; px: mm a pixel; pixel centres at (i + 0.5) px.
    """

    rows: int
    columns: int
    px: float
    bone: Field = field(init=False)
    soft: Field = field(init=False)

    def __post_init__(self) -> None:
        self.bone = np.zeros((self.rows, self.columns), np.float32)
        self.soft = np.zeros((self.rows, self.columns), np.float32)

    def window(self, x0: float, x1: float, y0: float, y1: float) -> _Window | None:
        """Part of the grid inside a box in mm, or None outside the image."""
        a, b = max(int(x0 / self.px) - 1, 0), min(ceil(x1 / self.px) + 1, self.columns)
        c, d = max(int(y0 / self.px) - 1, 0), min(ceil(y1 / self.px) + 1, self.rows)
        if b <= a or d <= c:
            return None
        x = ((np.arange(a, b, dtype=np.float32) + np.float32(0.5)) * np.float32(self.px))[None, :]
        y = ((np.arange(c, d, dtype=np.float32) + np.float32(0.5)) * np.float32(self.px))[:, None]
        return _Window(slice(c, d), slice(a, b), x, y)


@dataclass(frozen=True, slots=True)
class _Window:
    rows: slice
    columns: slice
    x: Field
    y: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A long bone from ``base`` to ``head`` (mm): widths, cortex and shape of its ends."""

    base: Point
    head: Point
    shaft: float
    base_width: float
    head_width: float
    cortex: float
    density: float = 1.0
    depth: float = 0.9
    convex: float = 0.42
    notches: tuple[Notch, ...] = ()
    plate: tuple[float, float] | None = None  # open growth plate: place along the axis, width

    def draw(self, canvas: Canvas, texture: Field) -> None:
        """Add its attenuation."""
        px, (bx, by), (hx, hy) = canvas.px, self.base, self.head
        length = hypot(hx - bx, hy - by)
        ux, uy = (hx - bx) / length, (hy - by) / length
        margin = 0.62 * max(self.base_width, self.head_width) + 1.0
        win = canvas.window(
            min(bx, hx) - margin, max(bx, hx) + margin, min(by, hy) - margin, max(by, hy) + margin
        )
        if win is None:
            return
        t = (win.x - bx) * ux + (win.y - by) * uy
        n = (win.y - by) * ux - (win.x - bx) * uy
        s = np.clip(t / length, -0.5, 1.5)
        flare_b, flare_h = np.exp(-((s / 0.16) ** 2)), np.exp(-(((1 - s) / 0.13) ** 2))
        half = 0.5 * (
            self.shaft
            + (self.base_width - self.shaft) * flare_b
            + (self.head_width - self.shaft) * flare_h
        )
        r2 = np.clip((n / half) ** 2, 0, 1.44)
        end_h = length - 0.5 * self.head_width * self.convex * r2
        end_b = 0.07 * self.base_width * (1 - r2)  # concave base, concentric with the head
        edge = 0.6 * px
        inside = _ramp(t - end_h, edge) * _ramp(end_b - t, edge)
        if self.plate is not None:
            place, width = self.plate
            inside *= 1 - np.exp(-((1.3 * (t - place) / width) ** 4))
        cortex = self.cortex * np.clip(1 - 0.75 * np.maximum(flare_b, flare_h), 0.22, 1)
        outer = _chord(half, n, self.depth)
        inner = _chord(np.maximum(half - cortex, 0.05), n, self.depth)
        plate = 0.9 * (np.exp(-(((t - end_h) / 0.9) ** 2)) + np.exp(-(((t - end_b) / 0.9) ** 2)))
        grain = texture[win.rows, win.columns]
        value = MU_CORTICAL * (outer - inner) + MU_TRABECULAR * inner * grain
        value += 0.5 * MU_CORTICAL * plate * (outer > 0)
        value *= inside * self.density
        _bite(value, win, self.notches, px)
        canvas.bone[win.rows, win.columns] += value.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A short bone: a rounded convex polygon (mm, counter-clockwise in the image or not)."""

    corners: tuple[Point, ...]
    cortex: float
    density: float = 1.0
    thickness: float = 11.0
    rounding: float = 0.9
    notches: tuple[Notch, ...] = ()

    @property
    def centre(self) -> Point:
        """Mean of the corners."""
        xs, ys = zip(*self.corners, strict=True)
        return sum(xs) / len(xs), sum(ys) / len(ys)

    @property
    def inradius(self) -> float:
        """Distance from the centre to the nearest side, mm."""
        cx, cy = self.centre
        return min(d - (nx * cx + ny * cy) for nx, ny, d in self._sides())

    def draw(self, canvas: Canvas, texture: Field) -> None:
        """Add its attenuation."""
        xs, ys = zip(*self.corners, strict=True)
        win = canvas.window(min(xs) - 1, max(xs) + 1, min(ys) - 1, max(ys) + 1)
        if win is None:
            return
        depth = np.full(np.broadcast_shapes(win.x.shape, win.y.shape), np.inf, np.float32)
        k = self.rounding
        total = np.zeros_like(depth)
        for nx, ny, d in self._sides():
            distance = np.float32(d) - np.float32(nx) * win.x - np.float32(ny) * win.y
            depth = np.minimum(depth, distance)
            total += np.exp(np.clip(-distance / k, -20, 20))
        smooth = k * 0.7 - k * np.log(total)  # soft minimum: rounds the corners, keeps the size
        inr = max(self.inradius, 1.0)
        outer = _dome(smooth, inr)
        inner = _dome(smooth - self.cortex, inr)
        grain = texture[win.rows, win.columns]
        value = self.thickness * (
            0.8 * MU_CORTICAL * (outer - 0.95 * inner) + MU_TRABECULAR * inner * grain
        )
        value = value * self.density
        _bite(value, win, self.notches, canvas.px)
        canvas.bone[win.rows, win.columns] += value.astype(np.float32, copy=False)

    def _sides(self) -> list[tuple[float, float, float]]:
        """Outward unit normal and offset of every side."""
        cx, cy = self.centre
        sides = []
        for (x0, y0), (x1, y1) in zip(
            self.corners, (*self.corners[1:], self.corners[0]), strict=True
        ):
            length = hypot(x1 - x0, y1 - y0)
            nx, ny = (y1 - y0) / length, -(x1 - x0) / length
            if nx * (cx - x0) + ny * (cy - y0) > 0:
                nx, ny = -nx, -ny
            sides.append((nx, ny, nx * x0 + ny * y0))
        return sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """Soft tissue: a segment with a radius that runs from ``r0`` to ``r1`` (mm)."""

    a: Point
    b: Point
    r0: float
    r1: float

    def draw(self, canvas: Canvas) -> None:
        """Keep the longer path."""
        (ax, ay), (bx, by) = self.a, self.b
        length = max(hypot(bx - ax, by - ay), 1e-3)
        ux, uy = (bx - ax) / length, (by - ay) / length
        margin = max(self.r0, self.r1) + 1
        win = canvas.window(
            min(ax, bx) - margin, max(ax, bx) + margin, min(ay, by) - margin, max(ay, by) + margin
        )
        if win is None:
            return
        t = np.clip((win.x - ax) * ux + (win.y - ay) * uy, 0, length)
        d2 = (win.x - ax - t * ux) ** 2 + (win.y - ay - t * uy) ** 2
        radius = self.r0 + (self.r1 - self.r0) * (t / length)
        path = 1.7 * np.sqrt(np.clip(radius * radius - d2, 0, None))
        view = canvas.soft[win.rows, win.columns]
        np.maximum(view, path.astype(np.float32, copy=False), out=view)


def turned(point: Point, angle: float) -> Point:
    """Rotate about the origin."""
    return (
        point[0] * cos(angle) - point[1] * sin(angle),
        point[0] * sin(angle) + point[1] * cos(angle),
    )


def _ramp(x: _Real, edge: float) -> _Real:
    """1 inside (x < 0), 0 outside, linear over ``edge`` mm each side."""
    ramp: _Real = np.clip(0.5 - x / (2 * edge), 0, 1)
    return ramp


def _chord(half: _Real, n: _Real, depth: float) -> _Real:
    chord: _Real = 2 * depth * np.sqrt(np.clip(half * half - n * n, 0, None))
    return chord


def _dome(inside: _Real, inradius: float) -> _Real:
    """Relative thickness 0..1 of a lens that is full at ``inradius`` below its edge."""
    u = np.clip(1 - inside / inradius, 0, 1)
    dome: _Real = np.where(inside > 0, np.sqrt(1 - u * u), 0)
    return dome


def _bite(value: _Real, win: _Window, notches: tuple[Notch, ...], px: float) -> None:
    edge = max(0.7 * px, 0.35)
    for notch in notches:
        distance = np.sqrt((win.x - notch.x) ** 2 + (win.y - notch.y) ** 2) - notch.radius
        value *= 1 - notch.depth * _ramp(distance, edge)
