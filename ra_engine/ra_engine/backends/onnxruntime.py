"""ONNX Runtime on the CPU: the embedded default."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_engine.cpu import cpu_features
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.memory import exhausted, host_memory_error
from ra_engine.spec import EngineSpec, Form, Precision

_INPUT_RANK = 4

_WITHOUT = ["QDQPropagationTransformer"]
"""It moves a quantisation before the pooling that it follows: the same numbers, for the largest of
some values is the largest quantised too, but MaxPool of integers in that order of channels took
27 ms of 154 where MaxPool of FP32 takes 1.4 (five networks at 512 x 512, ONNX Runtime 1.32)."""


class OnnxRuntimeBackend:
    """Loads ONNX files into CPU sessions, sequential; INT8 by Q/DQ with unsigned activations."""

    name = "onnxruntime"
    family = "cpu"
    forms: Mapping[Precision, Form] = {"fp32": "master", "int8": "u8"}

    def load(self, graph: Path, spec: EngineSpec) -> OnnxSession:
        """Load a graph with ``spec.threads`` compute threads.

        Raises:
            DeviceMemoryError: the operating system gives too little memory.
            BackendError: the library is missing or refuses the graph.
        """
        ort = _library()
        options = ort.SessionOptions()
        options.intra_op_num_threads = spec.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL  # parallel measured slower
        # Threads spin while a graph runs (7 % faster where measured) and sleep between images.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        try:
            # Its second try with other providers prints to standard output, and is not what is
            # asked for.
            session = ort.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"], enable_fallback=0,
                disabled_optimizers=_WITHOUT,
            )  # fmt: skip
        except Exception as error:  # the runtime's exceptions have no common base
            raise refused(
                "onnxruntime", graph, error, otherwise="a newer opset needs a newer onnxruntime"
            ) from error
        key = f"onnxruntime-{ort.__version__}-cpu"
        return OnnxSession(session, key, precision=spec.precision)

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """Version of the library and the processor's vector units, which choose its kernels.

        Raises:
            RuntimeMissingError: the library is not installed.
        """
        return {"version": _library().__version__, "cpu": cpu_features()}


def refused(name: str, graph: Path, error: Exception, *, otherwise: str) -> BackendError:
    """What a refusal to load a graph means; ``otherwise``: a remedy beside a damaged file."""
    if exhausted(error):
        return host_memory_error(name, f"load {graph.name}")
    return BackendError(
        f"{name} refuses {graph.name}: {type(error).__name__}",
        hint=f"Run ra-daemon models verify; {otherwise}.",
    )


def _library() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissingError(
            f"onnxruntime cannot be imported: {error}", hint="pip install onnxruntime"
        ) from error


class OnnxSession:
    """One loaded graph."""

    device = "cpu"

    def __init__(self, session: Any, key: str, *, precision: Precision = "fp32") -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = [o.name for o in session.get_outputs()]
        self.key = key
        self.precision: Precision = precision

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 1, rows, columns) float32 -> every output by name.

        One row at a time: larger batches are no faster on a CPU, take more memory, and change the
        last bits of a result with the company it was computed in.

        Raises:
            DeviceMemoryError: the operating system gives too little memory.
            BackendError: the array does not fit the graph, or the runtime failed.
        """
        if array.ndim != _INPUT_RANK or len(array) == 0:
            raise BackendError(f"A graph takes (batch, 1, rows, columns), not {array.shape}.")
        rows = [self._one(array[i : i + 1]) for i in range(len(array))]
        return {
            name: np.concatenate([row[k] for row in rows]) for k, name in enumerate(self._outputs)
        }

    def _one(self, array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            found: list[NDArray[np.float32]] = self._session.run(
                self._outputs, {self._input: np.ascontiguousarray(array)}
            )
        except MemoryError:
            raise
        except Exception as error:  # the runtime's exceptions have no common base
            raise self._failed(error) from error
        return found

    def _failed(self, error: Exception) -> BackendError:
        if exhausted(error):
            return host_memory_error("onnxruntime", "run a graph")
        return BackendError(f"onnxruntime failed on a graph: {type(error).__name__}")
