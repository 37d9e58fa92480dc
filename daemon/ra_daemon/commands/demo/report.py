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

from ra_daemon.commands.demo.change import changes
from ra_daemon.commands.demo.plot import change_plot
from ra_daemon.commands.demo.reconcile import Line

_PICTURE = 900  # pixels of the longer side


def write_report(path: Path, lines: Sequence[Line], told: dict[str, Any]) -> None:
    """Write the page."""
    source = files("ra_daemon.commands.demo").joinpath("report.html.j2")
    template = Environment(autoescape=True).from_string(source.read_text(encoding="utf-8"))
    scored = [(n, picture(n.captures[0])) for n in lines if n.captures and n.score is not None]
    series = changes(lines)
    plot = change_plot(series)
    page = template.render(lines=lines, scored=scored, told=told, plot=plot, series=series)
    path.write_text(page, encoding="utf-8")


def picture(path: Path) -> str:
    """The pixels of an RGB secondary capture as a PNG data URI."""
    ds = dcmread(path)
    image = Image.fromarray(ds.pixel_array)
    image.thumbnail((_PICTURE, _PICTURE))
    stream = io.BytesIO()
    image.quantize(128).save(stream, "PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
