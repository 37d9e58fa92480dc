"""Graphs made from graphs for ``tests.perf.engines``; needs onnx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from ra_engine.quantise import Quantiser


def without_cam(source: Path, target: Path) -> None:
    """The same graph with score and members only."""
    whole = onnx.utils.Extractor(onnx.load(str(source)))
    onnx.save(whole.extract_model(["x"], ["members", "score"]), str(target))


def integer(source: Path, target: Path, shape: tuple[int, int], count: int) -> None:
    """INT8 for its speed: ranges are of noise."""
    noise = np.random.default_rng(3).standard_normal((count, 1, *shape)).astype(np.float32)
    Quantiser(source, noise, least=count).write(target, "u8", tail=1)
