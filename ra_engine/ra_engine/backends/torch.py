"""torch as reference: the bundle's ONNX graph, run operator by operator on the CPU.

Slow and plain on purpose: no fusion, no cache, no engine. What it is for is a second opinion,
written independently of ONNX Runtime.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, RuntimeMissingError
from ra_engine.memory import exhausted, host_memory_error
from ra_engine.spec import EngineSpec, Form, Precision


class TorchBackend:
    """Loads ONNX files into torch modules."""

    name = "torch"
    family = "cpu"
    forms: Mapping[Precision, Form] = {"fp32": "master", "fp16": "cast", "bf16": "cast"}

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """See ``device_facts``; the device is the CPU, whatever ``spec`` says."""
        torch = torch_module()
        return device_facts(torch, device(torch, replace(spec, device="cpu")))

    def load(self, graph: Path, spec: EngineSpec) -> TorchSession:
        """Load a graph that is in the precision's form.

        Raises:
            RuntimeMissingError: torch or onnx is not installed.
            BackendError: the graph uses an operator that this backend does not have.
        """
        torch, spec = torch_module(), replace(spec, device="cpu")
        made = graph_module(graph)
        parts = [self.name, torch.__version__, "cpu"]
        key = "-".join(parts if spec.precision == "fp32" else [*parts, spec.precision])
        return TorchSession(made, made.names, made.shape, spec, key=key)


def graph_module(graph: Path) -> Any:
    """A ``GraphModule`` in evaluation mode, on the CPU.

    Raises:
        RuntimeMissingError: onnx is not installed.
        BackendError: the file is damaged, or uses an operator that the torch backends do not have.
    """
    try:
        module = importlib.import_module("ra_engine.backends.graph.module")
    except ImportError as error:
        raise RuntimeMissingError(
            f"onnx cannot be imported: {error}.", hint="pip install 'ra-daemon[build]'"
        ) from error
    try:
        return module.GraphModule(graph).eval()
    except BackendError:
        raise
    except Exception as error:  # protobuf, the ONNX reader and torch share no base class
        raise BackendError(
            f"torch refuses {graph.name}: {type(error).__name__}",
            hint="Run ra-daemon models verify.",
        ) from error


class TorchSession:
    """A callable of tensors with named outputs; ``shape`` is that of an input row.

    Rows run one by one on a CPU, where company changes the last bits and gains nothing, and in
    batches of at most ``spec.rows`` on a GPU.
    """

    def __init__(
        self,
        call: Any,
        names: tuple[str, ...],
        shape: tuple[int, ...],
        spec: EngineSpec,
        *,
        key: str,
    ) -> None:
        self.module, self._names, self.shape = call, names, shape
        self._torch, self._threads = torch_module(), spec.threads
        self._where = device(self._torch, spec)
        self._rows = 1 if self._where.type == "cpu" else spec.rows
        self.key, self.device = key, spec.device
        self.precision: Precision = spec.precision

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 1, rows, columns) float32 -> every output by name.

        Raises:
            BackendError: the array does not fit the graph, or torch failed.
        """
        if array.shape[1:] != self.shape or len(array) == 0:
            raise BackendError(f"The graph takes (batch, {self.shape}), not {array.shape}.")
        parts = [self._piece(array[i : i + self._rows]) for i in range(0, len(array), self._rows)]
        return {n: np.concatenate([p[k] for p in parts]) for k, n in enumerate(self._names)}

    def _piece(self, array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        torch = self._torch
        if self._where.type == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                x = torch.from_numpy(np.array(array, np.float32)).to(self._where)
                return [y.float().cpu().numpy() for y in self.module(x)]
        except MemoryError:
            raise
        except Exception as error:  # torch's errors have no common base
            raise failed(torch, error) from error


def torch_module() -> Any:
    """torch.

    Raises:
        RuntimeMissingError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise RuntimeMissingError(
            f"torch cannot be imported: {error}.", hint="pip install 'ra-daemon[train]'"
        ) from error


def device(torch: Any, spec: EngineSpec) -> Any:
    """The torch device of a specification.

    Raises:
        DriverError: torch sees no such GPU.
    """
    index = spec.ordinal
    if index is None:
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise DriverError(
            f"torch {torch.__version__} sees {count} GPUs; {spec.device} is not among them.",
            hint="Run nvidia-smi -L; a CPU build of torch sees none: install its CUDA build.",
        )
    return torch.device("cuda", index)


def device_facts(torch: Any, where: Any) -> dict[str, object]:
    """What decides the bits beside the graph: full versions, and the device's kind."""
    facts: dict[str, object] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda or "",
        "platform": f"{platform.system()}-{platform.machine()}",
    }
    if where.type == "cpu":
        return {**facts, "cpu": str(torch.backends.cpu.get_cpu_capability())}
    major, minor = torch.cuda.get_device_capability(where)
    return {**facts, "gpu": torch.cuda.get_device_name(where), "sm": 10 * major + minor}


def failed(torch: Any, error: Exception) -> BackendError:
    """torch's errors share one class with everything else; only memory is told apart."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return DeviceMemoryError("torch ran out of GPU memory.")
    if exhausted(error):
        return host_memory_error("torch", "run a graph")
    return BackendError(f"torch failed on a graph: {type(error).__name__}")
