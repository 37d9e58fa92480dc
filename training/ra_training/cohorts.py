"""Generated cohorts end to end: locator, views and score graph as serving runs them."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.locate import hands_of
from ra_engine.manifest import LocatorTable
from ra_engine.prepare import prepare_hand, prepare_image
from ra_engine.spec import EngineSpec
from ra_engine.types import HandView, Radiograph
from ra_engine.views import apply, hand_view
from ra_training.locator.scenes import SPEC as LOCATOR_SPEC
from ra_training.phantom import render_exposure, sample_grades, subject_seed
from ra_training.phantom.grades import Prior
from ra_training.scorer.crops import SPEC as SCORE_SPEC

THRESHOLDS = LocatorTable(centre=0.3, landmark=0.15, plausibility=1.0, distance=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Two-hand images of a cohort, as scored.

    Attributes:
        truth, score: (n, 2) hands by place, left of the image first; NaN score where not found.
        members: (n, 2, m); logits: (n, 2, bands - 1); found: (n,) hands found by the locator.
    """

    truth: NDArray[np.float64]
    score: NDArray[np.float64]
    members: NDArray[np.float64]
    logits: NDArray[np.float64]
    cam_peak: NDArray[np.float64]
    found: NDArray[np.int64]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Images of which both hands were found."""
        whole: NDArray[np.bool_] = self.found == 2
        return whole


def run(
    locator: Path, graph: Path, n: int, seed: int, prior: Prior, *, processes: int = 3
) -> Cohort:
    """Render and score ``n`` two-hand images of a seed."""
    jobs = [(locator, graph, seed, i, min(n, i + 20), prior) for i in range(0, n, 20)]
    with get_context("spawn").Pool(processes) as pool:
        parts = [row for part in pool.map(_chunk, jobs, chunksize=1) for row in part]
    columns = list(zip(*parts, strict=True))
    for name in (2, 3):
        columns[name] = _filled(columns[name])
    return Cohort(
        truth=np.array(columns[0], np.float64),
        score=np.array(columns[1], np.float64),
        members=np.array(columns[2], np.float64),
        logits=np.array(columns[3], np.float64),
        cam_peak=np.array(columns[4], np.float64),
        found=np.array(columns[5], np.int64),
    )


def _filled(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arrays of one shape: NaN stands where an image had no two hands."""
    known = next((a for a in arrays if a is not None), np.zeros((2, 1)))
    hole = np.full(np.shape(known), np.nan)
    return tuple(hole if a is None else a for a in arrays)


def find(session: object, radiograph: Radiograph) -> list[HandView]:
    """Hands of an image, left first."""
    tensor, to_image = prepare_image(radiograph, LOCATOR_SPEC)
    out = session.run(tensor[None])  # type: ignore[attr-defined]
    hands = hands_of(out["heat"][0], out["offset"][0], THRESHOLDS)
    views = [hand_view(apply(to_image, h.points)) for h in hands]
    return sorted(views, key=lambda v: float(v.landmarks[0, 0]))


def _chunk(job: tuple[Path, Path, int, int, int, Prior]) -> list[tuple[object, ...]]:
    locator, graph, seed, start, stop, prior = job
    backend = OnnxRuntimeBackend()
    finder, scorer = (
        backend.load(locator, EngineSpec(threads=1)),
        backend.load(graph, EngineSpec(threads=1)),
    )
    rows: list[tuple[object, ...]] = []
    for index in range(start, stop):
        own = subject_seed(seed, index)
        grades = sample_grades(own, prior=prior)
        exposure = render_exposure(own, grades, hands="both", height=640)
        radiograph = Radiograph(
            pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1"
        )
        truth = (grades.right.total, grades.left.total)  # the right hand lies at the image's left
        views = find(finder, radiograph)
        if len(views) != 2:
            hole = np.full(2, np.nan)
            rows.append((truth, hole, None, None, hole, len(views)))
            continue
        tensor = np.stack([prepare_hand(radiograph, v, SCORE_SPEC) for v in views])
        out = scorer.run(tensor)
        rows.append(
            (truth, out["score"], out["members"], out["class_logits"], out["cam"].max((1, 2)), 2)
        )
    return rows
