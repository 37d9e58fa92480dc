"""What others implement: a scorer and a backend. Structural types, no base class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ra_engine.types import Batch, Finding, Output

API_VERSION = 1
"""Raised when a change would break a scorer or a backend written before it."""


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
    """A loaded graph. ``key`` names runtime, its full version, device and precision."""

    key: str
    precision: str

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on (batch, 1, rows, columns); return every output by its name."""
        ...


class Backend(Protocol):
    """A runtime, chosen by name, one file each."""

    name: str

    def load(self, graph: Path, *, threads: int) -> Session:
        """Load an ONNX file.

        Raises:
            BackendError: the runtime is missing or refuses the graph; the hint names the remedy.
        """
        ...
