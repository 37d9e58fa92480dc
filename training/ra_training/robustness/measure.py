"""How far scores move when an image changes in a way that should not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.contracts import Session
from ra_engine.manifest import Manifest
from ra_engine.prepare import Preprocessing, prepare_hand, prepare_image
from ra_engine.spec import EngineSpec
from ra_engine.types import Radiograph
from ra_training.calibration.conformal import Conformal
from ra_training.cohorts import find
from ra_training.errors import TrainingError
from ra_training.phantom import render_exposure, sample_grades, subject_seed
from ra_training.phantom.exposure import Side
from ra_training.phantom.grades import Prior
from ra_training.robustness.changes import CHANGES

Array = NDArray[np.float64]
LEVEL = 0.95
"""Share of images whose score must move by less than half its interval."""
BOTH_MAX = 280.0
SPACINGS_MM = (0.1, 0.2)
"""Pixels of detectors, to which the same exposure is rendered anew."""
NAMES = (*CHANGES, "pixel size")
"""Everything that must not move a score."""
CAST = "cast on the right hand"
"""What the demonstration models have never seen: measured, not part of the bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """One change.

    Attributes:
        n: images scored as they were; lost: of these not scored after the change, which counts as
            moved; within: share that moved less than half the interval; moved: median and 95th
            centile of the absolute difference of those scored; half: 5th centile and median of half
            the interval, to judge ``moved`` by.
    """

    change: str
    n: int
    lost: int
    within: float
    moved: tuple[float, float]
    half: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.within >= LEVEL


def judge(change: str, before: Array, after: Array, width: Array) -> Robustness:
    """Compare scores (n,) before and after; NaN where no two hands were found.

    Args:
        width: (n,) of the interval before.

    Raises:
        TrainingError: nothing was scored before.
    """
    known = np.isfinite(before)
    if not known.any():
        raise TrainingError(
            code="nothing-scored", text="no image was scored before the change",
            hint="give a locator that finds the hands",
        )  # fmt: skip
    gap = np.abs(after - before)[known]
    found = np.isfinite(gap)
    small = found & (np.nan_to_num(gap, nan=np.inf) < width[known] / 2)
    some = gap[found] if found.any() else np.array([np.nan])
    return Robustness(
        change=change, n=int(known.sum()), lost=int((~found).sum()),
        within=float(small.mean()),
        moved=(float(np.median(some)), float(np.quantile(some, 0.95))),
        half=(float(np.quantile(width[known] / 2, 0.05)), float(np.median(width[known] / 2))),
    )  # fmt: skip


def measure(
    bundle: Path, locator: Path, manifest: Manifest, n: int, seed: int,
    *, prior: Prior = "clinic", height: int = 900, processes: int = 2,
) -> list[Robustness]:  # fmt: skip
    """Score ``n`` two-hand images of a seed as they are and after every change.

    Args:
        bundle, locator: graphs; height: rows of the plate, about 0.3 mm a pixel.

    Raises:
        TrainingError: the bundle has no score of both hands.
    """
    if manifest.score is None or manifest.score.both is None:
        raise TrainingError(
            code="bundle-unit", text=f"bundle {manifest.name} gives no score of both hands",
            hint="robustness is measured where an interval of both hands is calibrated",
        )  # fmt: skip
    interval = Conformal.of(manifest.score.both.model_dump())
    step = max(1, n // (processes * 4))
    reader = Reader(
        bundle=bundle, locator=locator, unit=manifest.unit, spec=manifest.preprocessing.spec()
    )
    jobs = [(reader, seed, i, min(n, i + step), prior, height) for i in range(0, n, step)]
    if processes > 1:
        with get_context("spawn").Pool(processes) as pool:
            parts = pool.map(_chunk, jobs, chunksize=1)
    else:
        parts = [_chunk(job) for job in jobs]
    scores = np.concatenate(parts)
    before = scores[:, 0]
    low, high = interval.limits(np.nan_to_num(before), floor=0, ceiling=BOTH_MAX)
    return [
        judge(name, before, scores[:, k], high - low)
        for k, name in enumerate((*NAMES, CAST), start=1)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What scores an image: a bundle's graph, and the locator for bundles of hands."""

    bundle: Path
    locator: Path
    unit: str
    spec: Preprocessing

    def sessions(self) -> tuple[Session, Session]:
        """Locator and scorer."""
        backend = OnnxRuntimeBackend()
        return (
            backend.load(self.locator, EngineSpec(threads=1)),
            backend.load(self.bundle, EngineSpec(threads=1)),
        )

    def total(self, finder: Session, scorer: Session, shot: Radiograph) -> float:
        """Total of both hands, 0-280, NaN unless two hands were found."""
        views = find(finder, shot)
        if len(views) != 2:
            return float("nan")
        if self.unit == "image":
            out = scorer.run(prepare_image(shot, self.spec)[0][None])
            return float(np.clip(out["score"][0], 0, BOTH_MAX))
        out = scorer.run(np.stack([prepare_hand(shot, v, self.spec) for v in views]))
        return float(np.clip(out["score"], 0, BOTH_MAX / 2).sum())


def _chunk(job: tuple[Reader, int, int, int, Prior, int]) -> Array:
    """(images, 1 + changes) totals."""
    reader, seed, start, stop, prior, height = job
    finder, scorer = reader.sessions()
    rows = []
    for index in range(start, stop):
        own = subject_seed(seed, index)
        shot, spacing = exposed(own, prior, height)
        draw = np.random.default_rng([seed, index])
        changed = [change(shot, draw) for change in CHANGES.values()]
        finer = round(height * spacing / float(draw.uniform(*SPACINGS_MM)))
        changed.append(exposed(own, prior, finer)[0])
        changed.append(exposed(own, prior, height, casts=("right",))[0])
        rows.append([reader.total(finder, scorer, s) for s in (shot, *changed)])
    return np.array(rows, np.float64).reshape(-1, 2 + len(NAMES))


def exposed(
    own: int, prior: Prior, height: int, *, casts: Sequence[Side] = ()
) -> tuple[Radiograph, float]:
    """A subject's radiograph on a plate of so many rows, and its mm a pixel.

    The same subject, pose and exposure whatever the rows: another detector.
    """
    grades = sample_grades(own, prior=prior)
    made = render_exposure(own, grades, hands="both", height=height, casts=casts)
    shot = Radiograph(pixels=made.pixels, inverted=made.photometric == "MONOCHROME1")
    return shot, made.spacing_mm
