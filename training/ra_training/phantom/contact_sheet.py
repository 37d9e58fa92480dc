"""One picture of what the generator makes: ``python -m ra_training.phantom.contact_sheet OUT``.

With ``--wrists FOLDER`` real radiographs stand below generated wrists, to judge the look. Such a
sheet holds other people's images: keep it out of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ra_training.phantom.exposure import Exposure
from ra_training.phantom.grades import HEALTHY, SubjectGrades, sample_grades
from ra_training.phantom.nonhand import KINDS, render_nonhand
from ra_training.phantom.render import render_exposure

Tile = tuple[str, Image.Image]
ROWS, COLUMNS, CELL = 260, 1170, 8
_HEIGHT = 700  # rendered, before it is made smaller


def hands() -> Iterator[Tile]:
    """Both hands from healthy to severe, then one hand, a child and a later visit."""
    healthy = SubjectGrades(right=HEALTHY, left=HEALTHY)
    yield "total 0", _picture(render_exposure(1, healthy, height=_HEIGHT))
    for seed in (14, 22, 11, 23, 48):
        grades = sample_grades(seed, prior="flat")
        shot = render_exposure(seed, grades, height=_HEIGHT)
        yield f"total {grades.total}", _picture(shot)
    for label, age in (("age 4", 4.0), ("age 9", 9.0), ("age 14", 14.0)):
        shot = render_exposure(6, healthy, hands="left", height=_HEIGHT, age=age)
        yield label, _picture(shot)


def others() -> Iterator[Tile]:
    """One image of every kind that is no hand."""
    for kind in KINDS:
        yield kind, _picture(render_nonhand(kind, 3, height=_HEIGHT))


def wrists(folder: Path) -> Iterator[Tile]:
    """Generated wrists, then the real ones of ``folder``."""
    for seed in range(4):
        grades = sample_grades(seed, prior="flat")
        shot = render_exposure(seed, grades, hands="right", height=1400)
        x, y = shot.hands[0].landmarks[0]
        r = 45 / shot.spacing_mm
        box = (int(x - r), int(y - r), int(x + r), int(y + r))
        yield "generated", _picture(shot, scale=False).crop(box)
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".bmp", ".png"))[:8]:
        yield path.stem, Image.open(path).convert("L")


def sheet(tiles: list[Tile], rows: int = ROWS, width: int = COLUMNS) -> Image.Image:
    """Lay tiles of ``rows`` pixels in lines of at most ``width`` pixels."""
    lines: list[list[Tile]] = [[]]
    room = width
    for label, tile in tiles:
        small = tile.resize((max(1, round(tile.width * rows / tile.height)), rows))
        if small.width + CELL > room and lines[-1]:
            lines.append([])
            room = width
        lines[-1].append((label, small))
        room -= small.width + CELL
    step = rows + 18
    page = Image.new("L", (width, step * len(lines)), 255)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        x = 0
        for label, tile in line:
            page.paste(tile, (x, number * step + 16))
            pen.text((x + 2, number * step + 2), label, fill=0)
            x += tile.width + CELL
    return page


def _picture(shot: Exposure, *, scale: bool = True) -> Image.Image:
    grey: NDArray[np.uint8] = np.rint(shot.display() * 255).astype(np.uint8)
    picture = Image.fromarray(grey)
    if not scale:
        return picture
    size = round(picture.width * ROWS / picture.height), ROWS
    return picture.resize(size, Image.Resampling.LANCZOS)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--wrists", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(out: Path, folder: Path | None) -> None:
    """Write the sheet to OUT; with --wrists, generated beside real wrists instead."""
    tiles = [*hands(), *others()] if folder is None else list(wrists(folder))
    sheet(tiles).quantize(40).save(out, optimize=True)


if __name__ == "__main__":
    main()
