"""Prepared sets from the generator: made in processes, kept by what they are made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ra_engine.prepare import Preprocessing, prepare_hand, prepare_image
from ra_engine.types import Radiograph
from ra_engine.views import hand_view
from ra_training.data.prepared import Prepared, Unit, load
from ra_training.data.sample import Sample
from ra_training.phantom import (
    PHANTOM_VERSION,
    SITES,
    Exposure,
    SubjectGrades,
    render_exposure,
    sample_grades,
    subject_seed,
)
from ra_training.phantom.grades import HEALTHY, Prior
from ra_training.phantom.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides every byte of a generated set.

    Attributes:
        n: subjects; unit: ``image`` gives one image a subject, ``hand`` one view a hand.
        rows, columns: of the prepared images; height: rows of the rendered plate.
        label: ``score`` renders adults by ``prior``; ``months`` renders left hands of healthy
            children of 1-18 years with their bone age.
    """

    n: int
    seed: int
    unit: Unit = "hand"
    rows: int
    columns: int
    prior: Prior = "clinic"
    label: Literal["score", "months"] = "score"
    height: int = 512

    @property
    def facts(self) -> dict[str, Any]:
        """Everything, with the generator's version."""
        return {**asdict(self), "generator": PHANTOM_VERSION}

    @property
    def name(self) -> str:
        """A folder's name that no other recipe has."""
        text = json.dumps(self.facts, sort_keys=True)
        return f"phantom-{self.label}-{self.n}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def generated(recipe: Recipe, cache: Path, *, processes: int = 2) -> Prepared:
    """The set of a recipe, from ``cache`` when it is there.

    Raises:
        TrainingError: what lies in the cache was changed.
    """
    folder = cache / recipe.name
    if (folder / "manifest.json").exists():
        return load(folder, recipe.facts)
    shutil.rmtree(folder, ignore_errors=True)  # cut off while it was written
    jobs = [(recipe, i) for i in range(recipe.n)]
    if processes > 1:
        with get_context("spawn").Pool(processes) as pool:
            parts = pool.map(_one, jobs, chunksize=16)
    else:
        parts = [_one(job) for job in jobs]
    Prepared(
        pixels=np.stack([p for tones, _ in parts for p in tones]),
        samples=tuple(s for _, samples in parts for s in samples),
        unit=recipe.unit,
    ).save(folder, recipe.facts)
    return load(folder, recipe.facts)


def _one(job: tuple[Recipe, int]) -> tuple[list[NDArray[np.uint8]], list[Sample]]:
    recipe, index = job
    own = subject_seed(recipe.seed, index)
    who = f"PHANTOM-{recipe.seed}-{index:05d}"
    if recipe.label == "months":
        return _child(recipe, own, who)
    grades = sample_grades(own, prior=recipe.prior)
    exposure = render_exposure(own, grades, hands="both", height=recipe.height)
    if recipe.unit == "image":
        sample = Sample(
            key=who, patient_id=who, visit="1", source="phantom", image=None, hands="both",
            score=float(grades.total), sex=_sex(exposure), joints=_joints(grades),
        )  # fmt: skip
        return [_tones(exposure, recipe)], [sample]
    tones, samples = [], []
    for hand in exposure.hands:
        tones.append(_view(exposure, hand.landmarks, recipe, own, hand.side))
        samples.append(
            Sample(
                key=f"{who}-{hand.side}", patient_id=who, visit="1", source="phantom", image=None,
                hands=hand.side, score=float(hand.grades.total), sex=_sex(exposure),
                joints={k: v for k, v in _joints(grades).items() if k[0] == hand.side[0].upper()},
            )
        )  # fmt: skip
    return tones, samples


def _child(recipe: Recipe, own: int, who: str) -> tuple[list[NDArray[np.uint8]], list[Sample]]:
    """A healthy left hand of 1-18 years; its label is the age that its bones show."""
    age = float(stream(own, "bone-age").uniform(1, 18))
    healthy = SubjectGrades(right=HEALTHY, left=HEALTHY)
    exposure = render_exposure(own, healthy, hands="left", height=recipe.height, age=age)
    hand = exposure.hands[0]
    tones = (
        _tones(exposure, recipe)
        if recipe.unit == "image"
        else _view(exposure, hand.landmarks, recipe, own, hand.side)
    )
    sample = Sample(
        key=who, patient_id=who, visit="1", source="phantom", image=None, hands="left",
        months=12 * age, sex=_sex(exposure),
    )  # fmt: skip
    return [tones], [sample]


def _sex(exposure: Exposure) -> Literal["F", "M"]:
    return "F" if exposure.female else "M"


def _joints(grades: SubjectGrades) -> dict[str, float]:
    return {
        f"{side[0].upper()}_{site}": float(grades.hand(side).grade(site))
        for side in ("left", "right")
        for site in SITES
    }


def _radiograph(exposure: Exposure) -> Radiograph:
    return Radiograph(pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1")


def _tones(exposure: Exposure, recipe: Recipe) -> NDArray[np.uint8]:
    spec = Preprocessing(kind="letterbox", rows=recipe.rows, columns=recipe.columns)
    return _bytes(prepare_image(_radiograph(exposure), spec)[0][0], spec)


def _view(
    exposure: Exposure, landmarks: NDArray[np.float32], recipe: Recipe, own: int, side: str
) -> NDArray[np.uint8]:
    """The hand view of landmarks that err as a locator's do."""
    draw = stream(own, "view-jitter", side)
    size = float(np.hypot(*(landmarks[10] - landmarks[0])))
    moved = landmarks + draw.normal(0, 0.02 * size, 2)
    spec = Preprocessing(kind="hand_view", rows=recipe.rows, columns=recipe.columns)
    view = hand_view(moved.astype(np.float32))
    return _bytes(prepare_hand(_radiograph(exposure), view, spec)[0], spec)


def _bytes(tensor: NDArray[np.float32], spec: Preprocessing) -> NDArray[np.uint8]:
    tones = np.clip(tensor * spec.std + spec.mean, 0, 1)
    found: NDArray[np.uint8] = np.rint(tones * 255).astype(np.uint8)
    return found
