"""The demo's plot of change, as SVG text: one line a subject, a bar from limit to limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ra_daemon.commands.demo.change import Change

_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#666666")
_WIDTH, _HEIGHT = 680, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 64, 16, 52  # room for labels
_LABEL_GAP = 15.0
"""Between the lines of text of two labels; the font has 12 pixels."""

_TICKS = 5
_AXIS = "change of estimated damage (SvdH score units)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where values lie: ``low`` to ``high`` in score units, visits 1 to ``last``."""

    low: float
    high: float
    last: int

    def x(self, visit: float) -> float:
        """Pixels from the left."""
        span = _WIDTH - _LEFT - _RIGHT - 24
        return _LEFT + 12 + (visit - 1) / max(1, self.last - 1) * span

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return _TOP + (self.high - value) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM)


def change_plot(series: Mapping[str, Sequence[Change]]) -> str:
    """The plot, or "" when there is nothing to show."""
    values = [
        v for points in series.values() for p in points for v in (p.value, p.low, p.high)
        if v is not None
    ]  # fmt: skip
    if not values:
        return ""
    scale = ticks(min([*values, 0.0]), max([*values, 1.0]))
    last = max(p.visit for points in series.values() for p in points)
    frame = Frame(low=scale[0], high=scale[-1], last=last)
    told = "Change since visit 1 by subject, in SvdH score units"
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}">',
        *_axes(frame, scale),
    ]
    for number, points in enumerate(series.values()):
        shift = (number - (len(series) - 1) / 2) * 5
        parts += _line(frame, points, _COLOURS[number % len(_COLOURS)], shift)
    return "".join([*parts, *_labels(frame, series), "</svg>"])


def ticks(low: float, high: float, wanted: int = _TICKS) -> list[float]:
    """Round values, equally spaced, from at most ``low`` to at least ``high``; 0 among them.

    Steps are 1, 2, 2.5 or 5 times a power of ten, at most ``wanted`` and two for the ends.
    """
    rough = max(high - low, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in their order, at least ``gap`` apart.

    From ``low`` to ``high``; where that is too short for all, they go beyond ``low``.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = list(wanted)
    edge = low
    for i in order:
        places[i] = edge = max(wanted[i], edge)
        edge += gap
    edge = high
    for i in reversed(order):
        places[i] = edge = min(places[i], edge)
        edge -= gap
    return places


def _axes(frame: Frame, scale: Sequence[float]) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in scale:
        y = frame.y(value)
        kind = "zero" if value == 0 else "grid"
        told = f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0"
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{told}</text>'
        )
    parts += [
        f'<text x="{frame.x(v):.1f}" y="{bottom + 20}" text-anchor="middle">{v}</text>'
        for v in range(1, frame.last + 1)
    ]
    across, up = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<text x="{across:.0f}" y="{bottom + 42}" text-anchor="middle">visit</text>')
    parts.append(
        f'<text transform="translate(18 {up:.0f}) rotate(-90)" text-anchor="middle">{_AXIS}</text>'
    )
    return parts


def _line(frame: Frame, points: Sequence[Change], colour: str, shift: float) -> list[str]:
    """One subject: a line, a dot a visit (hollow below the detectable change), a bar of limits."""
    places = [(frame.x(p.visit) + shift, frame.y(p.value)) for p in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for point, (x, y) in zip(points, places, strict=True):
        told = f"subject {point.subject}, visit {point.visit}: {point.value:+.1f}"
        if point.low is not None and point.high is not None:
            told += f" ({point.low:+.1f} to {point.high:+.1f})"
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(point.low):.1f}" '
                f'y2="{frame.y(point.high):.1f}" stroke="{colour}" opacity="0.5"/>'
            )
        fill = "#fff" if point.below_detectable_change else colour
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" '
            f'stroke-width="2"><title>{told}</title></circle>'
        )
    return parts


def _labels(frame: Frame, series: Mapping[str, Sequence[Change]]) -> list[str]:
    """Names at the right edge, apart from each other, each with a thin line to its last dot."""
    ends = [points[-1] for points in series.values()]
    wanted = [frame.y(end.value) for end in ends]
    places = spread(wanted, _LABEL_GAP, float(_TOP), float(_HEIGHT - _BOTTOM))
    edge = _WIDTH - _RIGHT + 14
    parts = []
    for number, (end, y, place) in enumerate(zip(ends, wanted, places, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        x = frame.x(end.visit) + (number - (len(ends) - 1) / 2) * 5 + 6
        parts.append(
            f'<line x1="{x:.1f}" x2="{edge - 3}" y1="{y:.1f}" y2="{place:.1f}" '
            f'stroke="{colour}" stroke-width="0.7"/>'
        )
        parts.append(
            f'<text class="name" x="{edge}" y="{place + 4:.1f}" fill="{colour}">'
            f"S{end.subject}</text>"
        )
    return parts
