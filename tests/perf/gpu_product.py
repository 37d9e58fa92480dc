"""The shipped backend ``aoti`` on a shipped graph: what a node would run, copies included."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.paths import REPOSITORY

DEMO = REPOSITORY / "plugins" / "ra_plugins" / "bundles" / "demo" / "graph.onnx"
SMALL = REPOSITORY / "tests" / "data" / "graphs" / "score.onnx"


NEEDS = 120
"""Seconds that compiling may take and measuring takes."""


def product(
    folder: Path,
    device: str,
    batches: tuple[int, ...],
    *,
    tiny: bool,
    left: Callable[[], float],
) -> list[str]:
    """Lines for the report; never raises.

    Args:
        left: seconds until all must be over.
    """
    if left() < NEEDS:
        return ["aoti: not run: the time is up"]
    try:
        return [_aoti(folder, device, batches, tiny=tiny)]
    except Exception as error:
        return [" ".join(f"aoti: {type(error).__name__}: {error}".split())[:240]]


def _aoti(folder: Path, device: str, batches: tuple[int, ...], *, tiny: bool) -> str:
    from ra_engine.backends.aoti import AotiBackend
    from ra_engine.backends.torch import TorchBackend
    from ra_engine.recipe import cast_graph
    from ra_engine.spec import EngineSpec

    master, graph = (SMALL, SMALL) if tiny else (DEMO, folder / "demo-bf16.onnx")
    if not tiny:  # the small graph has no convolution to cast
        cast_graph(master, graph, "bf16")
    spec = EngineSpec(device=device, precision="fp32" if tiny else "bf16", threads=2)
    started = time.perf_counter()
    session = AotiBackend().load(graph, spec)
    built = time.perf_counter() - started
    reference = TorchBackend().load(master, EngineSpec(threads=2))
    x = np.random.default_rng(0).normal(size=(max(batches), *session.shape)).astype(np.float32)
    truth, found = reference.run(x[:2])["score"], session.run(x[:2])["score"]
    drift = float(np.abs(found - truth).max() / np.abs(truth).max())
    rates = ", ".join(f"batch {b}: {_rate(session, x[:b]):.0f}" for b in batches)
    return (
        f"aoti, {master.parent.name}/{master.name}, {spec.precision}: built in {built:.0f} s, "
        f"drift {drift:.1e} against FP32 on the CPU; images/s with copies: {rates}"
    )


def _rate(session: Any, x: np.ndarray[Any, Any]) -> float:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        session.run(x)
        times.append(time.perf_counter() - started)
    return float(len(x) / np.median(times))
