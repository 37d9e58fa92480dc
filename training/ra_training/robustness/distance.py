"""How far generated images are from real ones, by the features of the locator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.prepare import prepare_image
from ra_engine.spec import EngineSpec
from ra_engine.types import Radiograph
from ra_training.errors import TrainingError
from ra_training.locator.scenes import SPEC
from ra_training.phantom import (
    SubjectGrades,
    render_exposure,
    render_nonhand,
    sample_grades,
    subject_seed,
)
from ra_training.phantom.grades import HEALTHY

Array = NDArray[np.float64]


def frechet(a: Array, b: Array) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (n, d) (Dowson, Landau 1982).

    |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)). With fewer cases than features it is biased
    upward: compare it only with a distance of equally many cases.
    """
    x, y = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(0) - b.mean(0)
    # a common small ridge keeps the root real where cases are fewer than features
    ridge = 1e-6 * float(np.trace(x + y)) / len(x) * np.eye(len(x))
    root = np.real(sqrtm((x + ridge) @ (y + ridge)))
    return float(gap @ gap + np.trace(x + y - 2 * root))


def embeddings(locator: Path, shots: Sequence[Radiograph]) -> Array:
    """(n, 64) features of whole images, from the locator's graph."""
    session = OnnxRuntimeBackend().load(locator, EngineSpec(threads=1))
    rows = [session.run(prepare_image(s, SPEC)[0][None])["embedding"][0] for s in shots]
    return np.stack(rows).astype(np.float64)


def real_images(folder: Path) -> list[Radiograph]:
    """Grey images (BMP, PNG, JPEG) of a folder, by name; they are measured, never trained on.

    Raises:
        TrainingError: fewer than two images.
    """
    kinds = {".bmp", ".png", ".jpg", ".jpeg"}
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in kinds)
    found = [cv2.imread(str(f), cv2.IMREAD_GRAYSCALE) for f in files]
    read = [Radiograph(pixels=p.astype(np.uint16)) for p in found if p is not None]
    if len(read) < 2:
        raise TrainingError(
            code="no-real-images", text=f"{len(read)} readable images in {folder.name}",
            hint="give a folder with at least two BMP, PNG or JPEG files",
        )  # fmt: skip
    return read


def generated(n: int, seed: int) -> dict[str, list[Radiograph]]:
    """``n`` generated images each of right hands of adults, of children and of wrists alone."""
    own = [subject_seed(seed, i) for i in range(n)]
    healthy = SubjectGrades(right=HEALTHY, left=HEALTHY)
    ages = [4.0 + 13.0 * i / max(1, n - 1) for i in range(n)]
    shots = {
        "hands": [render_exposure(s, sample_grades(s), hands="right", height=400) for s in own],
        "children": [
            render_exposure(s, healthy, hands="right", height=400, age=age)
            for s, age in zip(own, ages, strict=True)
        ],
        "wrists": [render_nonhand("wrist", s, height=400) for s in own],
    }
    return {
        kind: [Radiograph(pixels=e.pixels, inverted=e.photometric == "MONOCHROME1") for e in made]
        for kind, made in shots.items()
    }


def like(shot: Radiograph, real: Radiograph) -> Radiograph:
    """An image as large as a real one: resolution alone must not tell them apart."""
    scale = min(r / s for r, s in zip(real.pixels.shape, shot.pixels.shape, strict=True))
    if scale >= 1:
        return shot
    rows, columns = (max(1, round(n * scale)) for n in shot.pixels.shape)
    pixels = cv2.resize(shot.pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    return Radiograph(pixels=pixels, inverted=shot.inverted)


def beside_itself(features: Array, n: int, seed: int = 0) -> float:
    """Distance of two random disjoint parts of ``n`` cases: what no difference looks like.

    Raises:
        ValueError: fewer than 2 n cases.
    """
    if len(features) < 2 * n:
        raise ValueError(f"{len(features)} cases for two parts of {n}")
    order = np.random.default_rng(seed).permutation(len(features))
    return frechet(features[order[:n]], features[order[n : 2 * n]])
