"""Draw the pictures of the documentation anew: ``python docs/pictures.py``.

Each says in its PNG text of what it is (``generator``, ``bundle``); a test compares that with what
ships.
"""
# ruff: noqa: INP001

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import dcmread

from ra_training.phantom import PHANTOM_VERSION
from ra_training.phantom.contact_sheet import hands, others, sheet

STATIC = Path(__file__).parent / "_static"
_SEED = 23  # of the cohort whose first radiograph stands in the README


def capture() -> None:
    """What a capture looks like: a generated radiograph as ``ra-daemon score`` answers it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _run("ra_training", "phantom", "--n", "1", "--seed", str(_SEED), "--prior", "flat",
             "--out", str(folder / "cohort"))  # fmt: skip
        (image,) = sorted((folder / "cohort").rglob("*.dcm"))
        told = _run("ra_daemon", "score", str(image), "--out", str(folder / "out"), "--json")
        (result,) = json.loads(told)
        pixels = dcmread(result["capture"]).pixel_array
    words = {
        "generator": PHANTOM_VERSION,
        "bundle": f"{result['bundle']} {result['bundle_version']}",
    }
    _save(Image.fromarray(np.asarray(pixels)), "capture.png", 256, words)


def contact_sheet() -> None:
    """Hands and images that are none."""
    page = sheet([*hands(), *others()])
    _save(page, "phantom-contact-sheet.png", 40, {"generator": PHANTOM_VERSION})


def _run(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def _save(picture: Image.Image, name: str, colours: int, words: dict[str, str]) -> None:
    told = PngInfo()
    for key, value in words.items():
        told.add_text(key, value)
    # an octree keeps the few coloured places among all the grey
    method = Image.Quantize.FASTOCTREE if picture.mode == "RGB" else None
    kept = picture.quantize(colours, method=method)
    kept.save(STATIC / name, optimize=True, pnginfo=told)


if __name__ == "__main__":
    capture()
    contact_sheet()
