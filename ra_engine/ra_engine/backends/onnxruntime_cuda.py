"""ONNX Runtime's CUDA provider: a GPU engine without a build of its own. Never run by us.

All of a graph runs on the GPU or the graph is refused: the fallback of nodes to the CPU is off, so
is the Python wrapper's second try with other providers, and what the session says of its providers
is compared. TF32 is off, or an FP32 engine would be none.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxSession, refused
from ra_engine.backends.trt.cuda import Cuda, CudaBindings
from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, RuntimeMissingError
from ra_engine.recipe import RECIPE
from ra_engine.spec import EngineSpec, Form, Precision

STANDING = "never run by us"
"""What doctor, docs and the self-test say of it until one of us has had a device."""

_PROVIDER = "CUDAExecutionProvider"
_ONE_WHEEL = (
    "pip install 'ra-daemon[cuda]', then pip install --force-reinstall --no-deps onnxruntime-gpu: "
    "it lies in the same folder as onnxruntime, and the last one wins."
)
_MEMORY = ("out of memory", "failed to allocate", "cudaerrormemoryallocation", "alloc_failed")
_DRIVER = ("driver version", "no cuda-capable device", "invalid device ordinal")


class OnnxRuntimeCudaBackend:
    """Loads ONNX files into sessions on one NVIDIA GPU.

    Attributes:
        standing: whether anybody here has seen it run.
    """

    name = "onnxruntime-cuda"
    family = "cuda"
    forms: Mapping[Precision, Form] = {"fp32": "master", "fp16": "cast"}
    standing = STANDING

    def __init__(self, *, api: Any = None, cuda: Cuda | None = None) -> None:
        self._given, self._cuda = api, cuda

    def load(self, graph: Path, spec: EngineSpec) -> OnnxCudaSession:
        """Load a graph that is in the precision's form, and run every batch size once.

        Raises:
            RuntimeMissingError: the library, or what CUDA needs, is not installed.
            DriverError: no driver, or no such GPU.
            DeviceMemoryError: it does not fit into the bound or the device.
            BackendError: the graph is refused, or a part of it would run on the CPU.
        """
        ort, index = self._library(), _ordinal(spec)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # nothing runs on the CPU
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # what it says comes with its exception
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = ort.InferenceSession(
                str(graph), options, providers=[(_PROVIDER, _settings(spec, index))],
                enable_fallback=0,
            )  # fmt: skip
        except Exception as error:  # the runtime's exceptions have no common base
            raise _refused(graph, error) from error
        if session.get_providers()[:1] != [_PROVIDER]:
            raise _absent("its session is on the CPU")
        key = f"{self.name}-{ort.__version__}-{spec.device}-{spec.precision}"
        made = OnnxCudaSession(session, key, spec)
        made.warm_up()
        return made

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """Versions of library, CUDA and driver, and the kind of the GPU.

        Raises:
            RuntimeMissingError: the library is not installed, or is the one without CUDA.
            DriverError: no driver, or no such GPU.
        """
        ort = self._library()
        gpu = (self._cuda if self._cuda is not None else CudaBindings()).gpu(_ordinal(spec))
        return {
            "version": ort.__version__,
            "cuda": str(getattr(ort, "cuda_version", "")),
            "driver": gpu.driver.partition(".")[0],
            "gpu": gpu.name,
            "sm": gpu.sm,
            "platform": f"{platform.system()}-{platform.machine()}",
            "recipe": RECIPE,
            "settings": _settings(spec, 0),
            "buckets": list(spec.buckets),
        }

    def _library(self) -> Any:
        ort = self._given if self._given is not None else _imported()
        if _PROVIDER not in ort.get_available_providers():
            raise _absent("this onnxruntime is the one for CPUs")
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find
            ort.preload_dlls()
        return ort


class OnnxCudaSession(OnnxSession):
    """One loaded graph on a GPU; batches are padded with zeros up to the next bucket."""

    def __init__(self, session: Any, key: str, spec: EngineSpec) -> None:
        super().__init__(session, key, precision=spec.precision)
        self._buckets = spec.buckets
        self._row: tuple[int, ...] = tuple(session.get_inputs()[0].shape[1:])
        self.device = spec.device

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 1, rows, columns) float32 -> every output by name; any batch size, in pieces.

        Raises:
            DeviceMemoryError: the GPU has too little memory.
            BackendError: the array does not fit the graph, or the device failed.
        """
        if array.shape[1:] != self._row or len(array) == 0:
            raise BackendError(f"The graph takes (batch, {self._row}), not {array.shape}.")
        most = self._buckets[-1]
        parts = [self._piece(array[i : i + most]) for i in range(0, len(array), most)]
        return {n: np.concatenate([p[k] for p in parts]) for k, n in enumerate(self._outputs)}

    def warm_up(self) -> None:
        """Run every bucket once: kernels are chosen and memory is taken before a study waits."""
        for bucket in self._buckets:
            self._one(np.zeros((bucket, *self._row), np.float32))

    def _piece(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        count = len(rows)
        padded = np.zeros((next(b for b in self._buckets if b >= count), *self._row), np.float32)
        padded[:count] = rows
        return [found[:count] for found in self._one(padded)]

    def _failed(self, error: Exception) -> BackendError:
        return _told(error) or BackendError(
            f"{OnnxRuntimeCudaBackend.name} failed on a graph: {type(error).__name__}",
            hint="Run nvidia-smi; after an Xid error in dmesg the GPU needs a reset or a reboot.",
        )


def _settings(spec: EngineSpec, index: int) -> dict[str, str]:
    """Options of the provider; an exhaustive search would choose kernels by their time of day."""
    made = {
        "device_id": str(index),
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    return (
        made if spec.device_memory is None else {**made, "gpu_mem_limit": str(spec.device_memory)}
    )


def _ordinal(spec: EngineSpec) -> int:
    if spec.ordinal is None:
        raise BackendError(
            f"{OnnxRuntimeCudaBackend.name} needs a GPU, and the device is {spec.device!r}.",
            hint='Set [engine] device = "cuda:0", or name a CPU backend in [engine] backends.',
        )
    return spec.ordinal


def _imported() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissingError(
            f"onnxruntime cannot be imported: {error}", hint=_ONE_WHEEL
        ) from error


def _absent(why: str) -> RuntimeMissingError:
    return RuntimeMissingError(
        f"The CUDA provider of onnxruntime cannot be used: {why}.", hint=_ONE_WHEEL
    )


def _refused(graph: Path, error: Exception) -> BackendError:
    """Why a session could not be made; most faults have one class, so the words decide."""
    if "fallback to cpu ep has been explicitly disabled" in str(error).lower():
        # The provider that does not load is left out with a warning, and all nodes are the CPU's.
        return BackendError(
            f"{graph.name} would run on the CPU, in part or whole: the CUDA provider does not load "
            "or lacks an operator.",
            hint="CUDA 13 and cuDNN 9 must be found: pip install 'onnxruntime-gpu[cuda,cudnn]'; "
            "else use tensorrt, aoti or a CPU backend.",
        )
    return _told(error) or refused(
        OnnxRuntimeCudaBackend.name, graph, error, otherwise="else use another backend"
    )


def _told(error: Exception) -> BackendError | None:
    """The error of a GPU that is full or not there; None for any other fault."""
    said = str(error).lower()
    if any(words in said for words in _MEMORY):
        return DeviceMemoryError(f"{OnnxRuntimeCudaBackend.name} ran out of GPU memory.")
    if any(words in said for words in _DRIVER):
        return DriverError(
            f"{OnnxRuntimeCudaBackend.name} finds no such GPU, or its driver is old."
        )
    return None
