"""TensorRT-RTX on a device that its vendor does not list: what was tried, what it said.

Order: a plan for the default targets, one for SM80, one built for the device itself. A plan that
loads is run through our own runner and compared with torch. Each step says one line; a machine
without the wheels, onnx or a GPU says so and stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.perf.gpu_nets import Member, Workload, ensemble

TARGETS = ((), ("SM80",), ("CURRENT",))
BATCHES = (1, 8, 32)


NEEDS = 30
"""Seconds that one build and its measurement may take; exporting the graph takes as long."""


def attempt(
    folder: Path, work: Workload, *, index: int | None, left: Callable[[], float]
) -> list[str]:
    """Lines for the report; never raises.

    Args:
        left: seconds until all must be over.
    """
    said: list[str] = []
    try:
        said.extend(_attempt(folder, work, index, left))
    except Exception as error:
        said.append(_line(error))
    return said


def _attempt(
    folder: Path, work: Workload, index: int | None, left: Callable[[], float]
) -> Iterator[str]:
    from ra_engine.backends.trt.flavour import TENSORRT_RTX
    from ra_engine.recipe import cast_graph

    api = TENSORRT_RTX.load()
    yield f"library {api.__version__} imported"
    if left() < 2 * NEEDS:
        yield "not run: the time is up"
        return
    net = ensemble(work).members[-1]  # MobileNetV2: the smallest plan
    assert isinstance(net, Member)
    full = _export(net, work.size, folder)
    low = folder / "member-bf16.onnx"
    cast_graph(full, low, "bf16")
    for targets in TARGETS:
        for precision, graph in (("FP32", full), ("BF16", low)):
            name = f"{targets[0] if targets else 'default targets'}, {precision}"
            if left() < NEEDS:
                yield f"{name}: not run: the time is up"
                continue
            try:
                yield f"{name}: {_one(api, graph, targets, net, work.size, index)}"
            except Exception as error:
                yield f"{name}: {_line(error)}"


def _export(net: Member, size: int, folder: Path) -> Path:
    path = folder / "member.onnx"
    batch = torch.export.Dim("b", min=1, max=64)
    torch.onnx.export(
        net, (torch.randn(2, 1, size, size),), str(path), dynamo=True,
        dynamic_shapes=({0: batch},), input_names=["x"], output_names=["score", "cam"],
        external_data=False, opset_version=20, verbose=False,
    )  # fmt: skip
    return path


def _one(
    api: Any, graph: Path, targets: tuple[str, ...], net: Member, size: int, index: int | None
) -> str:
    from ra_engine.backends.trt.cuda import CudaBindings
    from ra_engine.backends.trt.deserialise import Loaded
    from ra_engine.backends.trt.network import Recipe, build_plan
    from ra_engine.backends.trt.runner import Limits, Runner

    started = time.perf_counter()
    plan = build_plan(api, graph, Recipe(targets=targets))
    built = f"built in {time.perf_counter() - started:.1f} s, {len(plan.content) / 1e6:.1f} MB"
    if index is None:
        return f"{built}; no GPU to run it on"
    cuda = CudaBindings()
    gpu = cuda.gpu(index)
    try:
        loaded = Loaded(api, plan.content, rtx=True)
    except Exception as error:
        return f"{built}; does not load on {gpu.name}: {_line(error)}"
    runner = Runner(api, cuda, loaded.engine, plan=len(plan.content), rtx=True, limits=Limits())
    runner.warm_up()
    x = np.random.default_rng(0).normal(size=(max(BATCHES), 1, size, size)).astype(np.float32)
    with torch.no_grad():
        truth = net(torch.from_numpy(x[:2]))[0].numpy()
    drift = np.abs(runner.run(x[:2])["score"] - truth).max() / np.abs(truth).max()
    rates = ", ".join(f"batch {b}: {_rate(runner, x[:b]):.0f}" for b in BATCHES)
    runner.close()
    return f"{built}; runs on {gpu.name}, drift {drift:.1e}; images/s with copies: {rates}"


def _rate(runner: Any, x: np.ndarray[Any, Any]) -> float:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        runner.run(x)
        times.append(time.perf_counter() - started)
    return float(len(x) / np.median(times))


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:240]
