"""report.html: one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from PIL import Image
from pydicom import dcmread

from ra_daemon.commands.demo.reconcile import Line, changes

_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#666666")
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 320, 60, 20
_PICTURE = 900  # pixels of the longer side


def write_report(path: Path, lines: Sequence[Line], told: dict[str, Any]) -> None:
    """Write the page."""
    source = files("ra_daemon.commands.demo").joinpath("report.html.j2")
    template = Environment(autoescape=True).from_string(source.read_text(encoding="utf-8"))
    scored = [(n, picture(n.captures[0])) for n in lines if n.captures and n.score is not None]
    page = template.render(lines=lines, scored=scored, told=told, plot=change_plot(lines))
    path.write_text(page, encoding="utf-8")


def picture(path: Path) -> str:
    """The pixels of an RGB secondary capture as a PNG data URI."""
    ds = dcmread(path)
    image = Image.fromarray(ds.pixel_array)
    image.thumbnail((_PICTURE, _PICTURE))
    stream = io.BytesIO()
    image.quantize(128).save(stream, "PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def change_plot(lines: Sequence[Line]) -> str:
    """SVG: change since the first visit, one line a subject, bars for the limits."""
    series = changes(lines)
    values = [v for points in series.values() for p in points for v in p[1:]]
    if not values:
        return ""
    low, high = min([*values, -5.0]), max([*values, 5.0])
    last = max(p[0] for points in series.values() for p in points)

    def x(visit: float) -> float:
        return _LEFT + (visit - 1) / max(1, last - 1) * (_WIDTH - _LEFT - 40)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - 40)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Change since visit 1">',
        f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y(0):.1f}" y2="{y(0):.1f}" class="zero"/>',
    ]
    parts += [
        f'<text x="{x(v):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">visit {v}</text>'
        for v in range(1, last + 1)
    ]
    for value in (low, 0.0, high):
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:+.0f}</text>'
        )
    for number, (subject, points) in enumerate(series.items()):
        shift = (number - len(series) / 2) * 5
        colour = _COLOURS[number % len(_COLOURS)]
        parts += _series(points, subject, colour, lambda v, s=shift: x(v) + s, y)
    return "".join([*parts, "</svg>"])


def _series(
    points: Sequence[tuple[int, float, float, float]], subject: str, colour: str, x: Any, y: Any
) -> list[str]:
    """One subject: a line, a dot a visit, a bar from limit to limit."""
    path = " ".join(f"{x(v):.1f},{y(c):.1f}" for v, c, _, _ in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for visit, change, low, high in points:
        place = f"{x(visit):.1f}"
        title = f"subject {subject}, visit {visit}: {change:+.1f}"
        dot = f'<circle cx="{place}" cy="{y(change):.1f}" r="4" fill="{colour}">'
        parts.append(f"{dot}<title>{title}</title></circle>")
        if high > low:
            parts.append(f'<line x1="{place}" x2="{place}" y1="{y(low):.1f}" y2="{y(high):.1f}" '
                         f'stroke="{colour}" opacity="0.5"/>')  # fmt: skip
    end = points[-1]
    parts.append(
        f'<text x="{x(end[0]) + 8:.1f}" y="{y(end[1]) + 4:.1f}" fill="{colour}">S{subject}</text>'
    )
    return parts
