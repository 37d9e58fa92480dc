"""What an engine is asked to be: precision, device, threads, memory, batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Form = Literal["master", "cast", "u8", "s8"]
"""What a backend reads to compute in a precision.

``master``: the bundle's FP32 file as it is (the runtime lowers precision itself, or not at all);
``cast``: the file rewritten by ``ra_engine.recipe``; ``u8`` and ``s8``: the file with explicit
Q/DQ operators, unsigned asymmetric or signed symmetric activations.
"""

BUCKETS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """How a graph shall run.

    Attributes:
        threads: compute threads of a CPU engine, at least 1.
        precision: of the graph's body; inputs, outputs and head are FP32 in every engine.
        device: ``cpu`` or ``cuda:N``.
        device_memory: bound in bytes, or None for what is free.
        buckets: batch sizes that engines with fixed shapes are built for, rising; a batch is padded
            up to the next one.
        cache: folder of built engines, or None for a backend that needs none.
        allow_cpu: whether a CPU engine may follow where a GPU was asked for.
    """

    threads: int = 1
    precision: Precision = "fp32"
    device: str = "cpu"
    device_memory: int | None = None
    buckets: tuple[int, ...] = BUCKETS
    cache: Path | None = None
    allow_cpu: bool = False

    @property
    def rows(self) -> int:
        """The largest batch."""
        return self.buckets[-1]

    @property
    def ordinal(self) -> int | None:
        """Number of the GPU, None for a CPU."""
        kind, _, number = self.device.partition(":")
        return None if kind == "cpu" else int(number or 0)
