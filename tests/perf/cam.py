"""What the heatmap in the graph costs: ``python -m tests.perf.cam``.

Three ways to a score, one image, the same random weights: the exported graph without its map, the
exported graph with it, both in ONNX Runtime; and pytorch-grad-cam in PyTorch beside PyTorch's plain
forward, which is what people run today. Rounds alternate; the median of each counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx.utils
import onnxruntime as ort
import torch
from pytorch_grad_cam import HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from ra_training.zoo.export import export_graph
from ra_training.zoo.heads import Head, head
from ra_training.zoo.registry import Backbone, backbone

CASES = (("resnet50", "linear"), ("resnet50", "coral"), ("mobilenet_v2", "linear"))
VALUES = [0.0, 3.0, 12.0, 40.0]


class Scores(nn.Module):
    """One module with (b, 1) outputs and a layer to hook."""

    def __init__(self, body: Backbone, top: Head) -> None:
        super().__init__()
        self.body, self.top, self.last = body, top, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, rows, columns) -> (b, 1)."""
        score: Tensor = self.top(self.last(self.body(x)))[0]
        return score[:, None]


def medians(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Milliseconds of each call; they take turns."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + 1):
        for call, times in zip(calls, taken, strict=True):
            started = time.perf_counter()
            call()
            if round_:  # the first warms up
                times.append((time.perf_counter() - started) * 1e3)
    return [statistics.median(t) for t in taken]


def session(path: Path, threads: int) -> ort.InferenceSession:
    """A graph in ONNX Runtime on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def row(name: str, kind: str, size: int, threads: int, rounds: int, folder: Path) -> str:
    """One line of the table."""
    torch.manual_seed(0)
    body = backbone(name).eval()
    top = head(kind, body.channels, VALUES).eval()
    x = np.random.default_rng(0).normal(0, 1, (1, 1, size, size)).astype(np.float32)
    tensor = torch.from_numpy(x)
    whole = Scores(body, top).eval()
    explainer = HiResCAM(whole, [whole.last])

    def forward() -> None:
        with torch.inference_mode():
            whole(tensor)

    eager, theirs = medians(
        rounds, forward, lambda: explainer(tensor, targets=[ClassifierOutputTarget(0)])
    )
    explainer.activations_and_grads.release()
    full, part = folder / f"{name}-{kind}.onnx", folder / f"{name}-{kind}-plain.onnx"
    export_graph([(body, top)], [1.0], full, size=(size, size))
    onnx.utils.extract_model(str(full), str(part), ["x"], ["score"])
    bare, mapped = session(part, threads), session(full, threads)
    plain, ours = medians(
        rounds, lambda: bare.run(None, {"x": x}), lambda: mapped.run(None, {"x": x})
    )
    return (
        f"| {name}, {kind} | {plain:.1f} | {ours:.1f} | {ours / plain:.3f} "
        f"| {eager:.1f} | {theirs:.1f} | {theirs / eager:.2f} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(
        f"{os.cpu_count()} cores, {asked.threads} threads, {asked.size}x{asked.size}, "
        f"median of {asked.rounds} rounds, ms\n"
    )
    print(
        "| network, head | graph without map | graph with map | ratio "
        "| PyTorch forward | pytorch-grad-cam | ratio |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in CASES:
            print(
                row(name, kind, asked.size, asked.threads, asked.rounds, Path(folder)), flush=True
            )


if __name__ == "__main__":
    main()
