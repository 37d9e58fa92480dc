"""Graphs of the zoo with random weights, for tests of runtimes; needs torch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

SIZE = (96, 64)
SMALL = "small"
"""A trunk of two convolutions, for what hangs on one: exporting one of the zoo takes seconds."""


def small() -> Any:
    """(b, 1, rows, columns) -> (b, 16, rows / 16, columns / 16), random weights."""
    from torch import nn

    first, second = nn.Conv2d(1, 8, 3, 4, 1), nn.Conv2d(8, 16, 3, 4, 1)
    trunk: Any = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    trunk.channels = 16
    return trunk


def exported(
    arch: str, kind: str, path: Path, *, cam: Any = "hirescam", flip: bool = False, members: int = 1
) -> Path:
    import torch

    from ra_training.zoo.export import export_graph
    from ra_training.zoo.heads import head
    from ra_training.zoo.registry import Backbone

    torch.manual_seed(len(arch) + len(kind))
    values = (0.0, 10.0, 40.0, 90.0, 140.0)
    nets = []
    for _ in range(members):
        backbone = small() if arch == SMALL else Backbone(arch)
        nets.append((backbone, head(kind, backbone.channels, values)))
    weights = [1 / members] * members
    return export_graph(nets, weights, path, size=SIZE, cam=cam, flip=flip)


def outputs(path: Path) -> tuple[str, ...]:
    onnx: Any = importlib.import_module("onnx")
    return tuple(o.name for o in onnx.load(str(path)).graph.output)
