"""ONNX Runtime with the faults of a GPU: tests put it in the place of the reference backend.

Which fault there is, is told by the names of files in the folder ``RA_BAD_ENGINE``, so that a test
can make and mend it while a node runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend, OnnxSession
from ra_engine.errors import BackendError, DriverError
from ra_engine.spec import EngineSpec, Form, Precision

FOLDER = "RA_BAD_ENGINE"


def is_there(fault: str, graph: Path) -> bool:
    """Whether there is a file ``fault`` (every graph), or ``fault-BUNDLE`` (this one's)."""
    folder = Path(os.environ[FOLDER])
    return any((folder / name).exists() for name in (fault, f"{fault}-{graph.parent.name}"))


class BadBackend(OnnxRuntimeBackend):
    """Faults at load: ``driver``, ``foreign``, ``dies``, ``hangs``."""

    name = "onnxruntime"
    family = "cpu"
    forms: Mapping[Precision, Form] = OnnxRuntimeBackend.forms

    def load(self, graph: Path, spec: EngineSpec) -> OnnxSession:
        if is_there("driver", graph):
            raise DriverError("The driver does not answer.", hint="Run nvidia-smi.")
        if is_there("foreign", graph):
            raise RuntimeError("libnothing.so.1: cannot open\nshared object file")
        if is_there("dies", graph):
            os._exit(1)
        if is_there("hangs", graph):
            time.sleep(10**6)
        return BadSession(super().load(graph, spec), graph)


class BadSession(OnnxSession):
    """Faults at work: ``computes_nothing``, and ``context``: from then on in this process only."""

    def __init__(self, whole: OnnxSession, graph: Path) -> None:
        vars(self).update(vars(whole))
        self._graph = graph
        self._runs = 0
        self._dead = False

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self._runs += 1
        if self._runs > 1 and is_there("context", self._graph):  # not while it is being proved
            for file in Path(os.environ[FOLDER]).glob("context*"):
                file.unlink()
            self._dead = True
        if self._dead or is_there("computes_nothing", self._graph):
            raise BackendError("An illegal memory access was encountered.")
        return super().run(array)
