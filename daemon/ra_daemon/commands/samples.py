"""Stored images for engines: the generator as a child process, prepared as the node prepares."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_daemon.dicom import read
from ra_daemon.errors import DaemonError
from ra_engine.bundle import Bundle
from ra_engine.locate import Locator
from ra_engine.prepare import prepare_hand, prepare_image, tone_range
from ra_engine.samples import CALIBRATION, GATE, Draw, Samples, digest_of
from ra_engine.types import Radiograph

Told = Callable[[str, int, int], None]
_SHARE_LOST = 0.05


class GeneratorError(DaemonError):
    """The generator gave no images."""

    code = "samples.failed"
    hint = "Run ra-train phantom --n 1 --seed 1 --out DIR: it says what is wrong."


def draw_samples(
    bundle: Bundle, locator: Locator, *, calibrate: bool, told: Told | None = None
) -> Samples:
    """Generate and prepare the images that engines of ``bundle`` are built with.

    Args:
        calibrate: whether INT8 is to be made, which needs the larger draw too.
        told: called with (stage, images done, images).

    Raises:
        GeneratorError: the child process failed, or the locator misses too many hands.
    """
    gate = _prepared(GATE, bundle, locator, "gate images", told)
    arrays = (
        _prepared(CALIBRATION, bundle, locator, "calibration images", told) if calibrate else None
    )
    cam = bundle.manifest.cam
    return Samples(
        gate=gate,
        calibration=arrays,
        calibration_digest=digest_of(arrays) if arrays is not None else "",
        evidence=cam.threshold if cam is not None else 0.0,
    )


def _prepared(
    draw: Draw, bundle: Bundle, locator: Locator, stage: str, told: Told | None
) -> NDArray[np.float32]:
    """(n, 1, rows, columns): the first hand of every image, or the image."""
    with tempfile.TemporaryDirectory(prefix="ra-samples-") as name:
        rows = []
        for number, radiograph in enumerate(_radiographs(draw, Path(name)), 1):
            row = _row(radiograph, bundle, locator)
            if row is not None:
                rows.append(row)
            if told is not None:
                told(stage, number, draw.n)
    if len(rows) < (1 - _SHARE_LOST) * draw.n:
        raise GeneratorError(f"The locator finds a hand in {len(rows)} of {draw.n} images only.")
    while len(rows) < draw.n:
        # A hand that the locator missed is replaced, so that the set has the size it must have.
        rows.append(rows[len(rows) % 7])
    return np.stack(rows)


def _row(radiograph: Radiograph, bundle: Bundle, locator: Locator) -> NDArray[np.float32] | None:
    spec = bundle.manifest.preprocessing.spec()
    if bundle.manifest.unit == "image":
        return prepare_image(radiograph, spec)[0]
    hands = locator.locate(radiograph).hands
    if not hands:
        return None
    return prepare_hand(radiograph, hands[0], spec, tone=tone_range(radiograph, spec.percentiles))


def _radiographs(draw: Draw, folder: Path) -> Iterator[Radiograph]:
    """The draw, decoded as the node decodes it."""
    command = [
        *(sys.executable, "-m", "ra_training", "phantom", "--n", str(draw.n)),
        *("--seed", str(draw.seed), "--out", str(folder), "--size", str(draw.size)),
        *("--hands", "mixed", "--prior", draw.prior),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise GeneratorError(f"ra-train phantom ended with {done.returncode}: {last}")
    for path in sorted(folder.glob("*.dcm")):
        decoded = read.decode(path)
        if not isinstance(decoded, Radiograph):
            raise GeneratorError(f"A generated image was refused: {decoded.reason.value}.")
        yield decoded
