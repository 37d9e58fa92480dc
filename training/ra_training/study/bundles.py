"""Heatmaps of a bundle's graph, measured on generated hands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle
from ra_engine.spec import EngineSpec
from ra_training.metrics.explanation import Explanation, explain
from ra_training.phantom.grades import Prior
from ra_training.study.maps import enlarge
from ra_training.study.scenes import scenes


def explained(folder: Path, n: int, seed: int, prior: Prior = "clinic") -> Explanation:
    """Figures of the map output on hands of ``n`` subjects.

    Raises:
        BundleError: the bundle is damaged.
    """
    bundle = load_bundle(folder)
    spec = bundle.manifest.preprocessing.spec()
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    shown = scenes(n, seed, spec, prior=prior)
    tensors = (shown.pixels.astype(np.float32) / 255 - spec.mean) / spec.std
    maps = [
        enlarge(cam, shown.pixels.shape[1:])
        for i in range(0, len(tensors), 8)
        for cam in session.run(tensors[i : i + 8, None].astype(np.float32))["cam"]
    ]
    return explain(np.stack(maps), shown.masks)
