"""What others implement: a scorer and a backend. Structural types, no base class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ra_engine.spec import EngineSpec, Form, Precision
from ra_engine.types import Batch, Finding, Output

API_VERSION = 1
"""Raised when a change would break a scorer written before it.

Backends are told apart by their shape: one without ``facts`` and ``forms`` was written for the
``load(graph, threads=...)`` of before 0.2 and is listed as broken.
"""


@runtime_checkable
class Scorer(Protocol):
    """Turns the arrays of one or more graphs into findings.

    Attributes:
        name: unique, lower case, stored with every result.
        api_version: the ``API_VERSION`` it was written for.
        needs: role -> names of the graph outputs it reads; empty for a scorer that
            only looks at the pixels.
    """

    name: str
    api_version: int
    needs: Mapping[str, Sequence[str]]

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> Sequence[Sequence[Finding]]:
        """Score a batch.

        Args:
            batch: the images; never to be changed.
            outputs: by role, for every role in ``needs``.

        Returns:
            One sequence of findings for each image, in the batch's order. The result for an image
            must not depend on the other images of the batch.
        """
        ...


class Session(Protocol):
    """A loaded graph.

    Attributes:
        key: names runtime, full version, device and, unless it is the FP32 reference, precision and
            the cache key of the engine; stands in every result row.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``: the one in effect.
        device: ``cpu`` or ``cuda:N``.
    """

    key: str
    precision: Precision
    device: str

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on (batch, 1, rows, columns); return every output by its name."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A runtime, chosen by name, one file each.

    Attributes:
        name: as in the entry point and the configuration.
        family: ``cpu`` or ``cuda``: the devices it runs on.
        forms: precision -> the form of the graph that ``load`` wants for it; a precision that is
            absent cannot be had.
    """

    name: str
    family: str
    forms: Mapping[Precision, Form]

    def load(self, graph: Path, spec: EngineSpec) -> Session:
        """Load an ONNX file that is in the form that ``forms`` states for ``spec.precision``.

        Raises:
            BackendError: the runtime is missing or refuses the graph or the device; the hint names
                the remedy.
        """
        ...

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """What decides an engine's bits beside the graph: full versions, driver, GPU, CPU features,
        profiles, flags. Enters the cache key; must be JSON.

        Raises:
            BackendError: the runtime or the device is missing.
        """
        ...


@runtime_checkable
class Compiler(Backend, Protocol):
    """A backend that compiles ahead of time; its engines are files of the cache."""

    suffix: str

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        """Compile a graph that is already in the precision's form; return the engine's bytes.

        Raises:
            BackendError: the builder refuses the graph or the device.
        """
        ...

    def open(self, graph: Path, engine: bytes, spec: EngineSpec, *, key: str) -> Session:
        """Load an engine whose hash the caller has checked; ``key`` becomes the session's.

        Raises:
            EngineFileError: another version, another device, or damaged.
        """
        ...
