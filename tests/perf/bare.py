"""What the node is held against: decoding, engine and preparation without a daemon."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from ra_daemon.config import Config, Route, Scoring, Store
from ra_daemon.dicom import read
from ra_daemon.steps import gate
from ra_daemon.steps.score import Gated, Models, with_sides
from ra_daemon.worker.process import ScorerProcess
from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph, ScoredImage


def accepted(files: list[Path], number: int) -> list[Path]:
    """The first so many images that the gate lets pass: it refuses one phantom in a hundred."""
    models, found = Models.load(Config(scoring=Scoring(threads=1))), []
    for path in files:
        decoded = read.decode(path)
        assert isinstance(decoded, Radiograph)
        if gate.judge_pixels(decoded, models.locate(decoded)) is None:
            found.append(path)
    assert len(found) >= number, f"the gate lets {len(found)} of {len(files)} images pass"
    return found[:number]


def engine(files: list[Path]) -> tuple[float, float]:
    """Images a second of one process with one thread, one image at a time.

    Returns:
        Decoding, locating and scoring in turn; and locating and scoring alone.
    """
    models, route = Models.load(Config(scoring=Scoring(threads=1))), Route(name="bench")
    cv2.setNumThreads(1)
    decoding = scoring = 0.0
    for path in files:
        started = time.perf_counter()
        decoded = read.decode(path)
        decoding += time.perf_counter() - started
        assert isinstance(decoded, Radiograph)
        started = time.perf_counter()
        located = models.locate(decoded)
        assert gate.judge_pixels(decoded, located) is None
        side, source, conflict = gate.laterality(decoded, located)
        views = with_sides(located.hands, side, source, conflict=conflict)
        image = ScoredImage(instance="1", radiograph=decoded, views=views)
        gated = Gated(image=image, side=side, side_source=source, conflict=conflict)
        models.score([gated], route.scorers, lambda _name: None)
        scoring += time.perf_counter() - started
    return len(files) / (decoding + scoring), len(files) / scoring


def decoding(files: list[Path], threads: int) -> float:
    """Images a second of decoding alone."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read.decode, files[:threads]))  # imports
        started = time.perf_counter()
        found = list(pool.map(read.decode, files))
        seconds = time.perf_counter() - started
    assert all(isinstance(one, Radiograph) for one in found)
    return len(files) / seconds


def preparing() -> float:
    """Milliseconds of the whole preprocessing of one 2500 x 2000 image of 12 bits, one thread."""
    cv2.setNumThreads(1)
    noise = np.random.default_rng(1).normal(1800, 500, (2500, 2000))
    radiograph = Radiograph(pixels=np.clip(noise, 0, 4095).astype(np.uint16), inverted=True)
    spec = Preprocessing(kind="letterbox", rows=512, columns=512)
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        prepare_image(radiograph, spec)
        taken.append((time.perf_counter() - started) * 1e3)
    return min(taken)


def importing(module: str, repeats: int = 5) -> float:
    """Least seconds of a fresh interpreter that imports a module."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def loading(folder: Path) -> float:
    """Seconds from the start of a scorer process until its models are loaded."""
    (folder / "run").mkdir(parents=True)
    process = ScorerProcess(Config(store=Store(root=folder), scoring=Scoring(threads=1)), 0)
    started = time.perf_counter()
    try:
        process.start()
        return time.perf_counter() - started
    finally:
        process.kill()


def as_jpeg_2000(files: list[Path], folder: Path) -> list[Path]:
    """Lossless copies with fresh SOP instance UIDs."""
    folder.mkdir()
    made = []
    for path in files:
        ds = dcmread(path)
        ds.compress(JPEG2000Lossless)
        ds.save_as(folder / path.name)
        made.append(folder / path.name)
    return made
