"""The few CUDA calls that the runner needs, over ``cuda-bindings`` (Apache-2.0, no toolkit)."""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, RuntimeMissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device: ``driver`` is the CUDA version the driver serves, e.g. "13.2"."""

    index: int
    name: str
    sm: int
    memory: int
    driver: str


class Cuda(Protocol):
    """Device memory, pinned memory, a stream, captured graphs. Addresses are plain integers."""

    def gpu(self, index: int) -> Gpu:
        """Choose a device for this thread and describe it."""
        ...

    def choose(self, index: int) -> None:
        """Choose a device for this thread: the choice is a thread's own in CUDA."""
        ...

    def free_memory(self) -> int:
        """Free bytes on the chosen device."""
        ...

    def stream(self) -> int:
        """A new stream."""
        ...

    def allocate(self, size: int) -> int:
        """Device memory."""
        ...

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Page-locked host memory as an array."""
        ...

    def upload(self, device: int, host: NDArray[np.float32], size: int, stream: int) -> None:
        """Enqueue a copy of ``size`` bytes to the device."""
        ...

    def download(self, host: NDArray[np.float32], device: int, size: int, stream: int) -> None:
        """Enqueue a copy of ``size`` bytes from the device."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait for all that was enqueued."""
        ...

    def begin_capture(self, stream: int) -> None:
        """Record what is enqueued instead of running it."""
        ...

    def end_capture(self, stream: int) -> object:
        """An executable graph of what was recorded."""
        ...

    def launch(self, graph: object, stream: int) -> None:
        """Enqueue a captured graph."""
        ...

    def release(self) -> None:
        """Free everything that this object gave out."""
        ...


class CudaBindings:
    """``Cuda`` over ``cuda.bindings.runtime``.

    Raises:
        RuntimeMissingError: the package is not installed.
        DriverError: there is no driver, or one too old for the package.
    """

    def __init__(self, module: Any = None) -> None:
        self._rt = module if module is not None else _module()
        self._device: list[int] = []
        self._host: list[int] = []
        self._streams: list[Any] = []
        self._graphs: list[Any] = []
        _, self._count = self._call("cudaGetDeviceCount", "counting GPUs")

    def gpu(self, index: int) -> Gpu:
        """See ``Cuda``."""
        if not 0 <= index < self._count:
            raise DriverError(
                f"There is no GPU {index}; this machine shows {self._count}.",
                hint="Name one of nvidia-smi -L in [engine] device, e.g. cuda:0.",
            )
        self.choose(index)
        _, properties = self._call("cudaGetDeviceProperties", "asking a GPU", index)
        _, driver = self._call("cudaDriverGetVersion", "asking the driver")
        name = properties.name
        return Gpu(
            index=index,
            name=name.decode() if isinstance(name, bytes) else str(name),
            sm=10 * int(properties.major) + int(properties.minor),
            memory=int(properties.totalGlobalMem),
            driver=f"{driver // 1000}.{driver % 1000 // 10}",
        )

    def choose(self, index: int) -> None:
        """See ``Cuda``."""
        self._call("cudaSetDevice", "choosing a GPU", index)

    def free_memory(self) -> int:
        """See ``Cuda``."""
        _, free, _ = self._call("cudaMemGetInfo", "asking for free memory")
        return int(free)

    def stream(self) -> int:
        """See ``Cuda``."""
        flag = self._rt.cudaStreamNonBlocking
        _, stream = self._call("cudaStreamCreateWithFlags", "making a stream", flag)
        self._streams.append(stream)
        return int(stream)

    def allocate(self, size: int) -> int:
        """See ``Cuda``."""
        _, pointer = self._call("cudaMalloc", f"allocating {size / 2**20:.0f} MiB", size)
        self._device.append(int(pointer))
        return int(pointer)

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See ``Cuda``."""
        size = 4 * int(np.prod(shape))
        _, pointer = self._call("cudaHostAlloc", "allocating pinned memory", size, 0)
        self._host.append(int(pointer))
        block = (ctypes.c_float * (size // 4)).from_address(int(pointer))
        array: NDArray[np.float32] = np.ctypeslib.as_array(block)
        return array.reshape(shape)

    def upload(self, device: int, host: NDArray[np.float32], size: int, stream: int) -> None:
        """See ``Cuda``."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        source = host.ctypes.data
        self._call("cudaMemcpyAsync", "copying to the GPU", device, source, size, kind, stream)

    def download(self, host: NDArray[np.float32], device: int, size: int, stream: int) -> None:
        """See ``Cuda``."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        target = host.ctypes.data
        self._call("cudaMemcpyAsync", "copying from the GPU", target, device, size, kind, stream)

    def synchronize(self, stream: int) -> None:
        """See ``Cuda``."""
        self._call("cudaStreamSynchronize", "waiting for the GPU", stream)

    def begin_capture(self, stream: int) -> None:
        """See ``Cuda``."""
        # Thread-local: another thread's allocation must not break the capture.
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", "capturing a CUDA graph", stream, mode)

    def end_capture(self, stream: int) -> object:
        """See ``Cuda``."""
        _, graph = self._call("cudaStreamEndCapture", "capturing a CUDA graph", stream)
        _, made = self._call("cudaGraphInstantiate", "making a CUDA graph", graph, 0)
        self._call("cudaGraphDestroy", "making a CUDA graph", graph)
        self._graphs.append(made)
        return made

    def launch(self, graph: object, stream: int) -> None:
        """See ``Cuda``."""
        self._call("cudaGraphLaunch", "launching a CUDA graph", graph, stream)

    def release(self) -> None:
        """See ``Cuda``; errors are ignored, the process may be losing the device."""
        for name, held in (
            ("cudaGraphExecDestroy", self._graphs),
            ("cudaFree", self._device),
            ("cudaFreeHost", self._host),
            ("cudaStreamDestroy", self._streams),
        ):
            while held:
                getattr(self._rt, name)(held.pop())

    def _call(self, name: str, doing: str, *arguments: object) -> tuple[Any, ...]:
        answer: tuple[Any, ...] = getattr(self._rt, name)(*arguments)
        code = answer[0]
        if int(code) != 0:
            raise cuda_error(str(getattr(code, "name", code)), doing)
        return answer


def cuda_error(name: str, doing: str) -> BackendError:
    """The error for a ``cudaError_t`` by name, with its remedy."""
    if name == "cudaErrorMemoryAllocation":
        return DeviceMemoryError(f"The GPU has too little memory: {doing} failed.")
    if name in _DRIVER:
        return DriverError(f"{_DRIVER[name]} ({name}, while {doing}).")
    return BackendError(
        f"CUDA failed while {doing}: {name}.",
        hint="Run nvidia-smi; after an Xid error in dmesg the GPU needs a reset or a reboot.",
    )


_DRIVER = {
    "cudaErrorInsufficientDriver": "No NVIDIA driver, or one too old for CUDA 13",
    "cudaErrorNoDevice": "The driver shows no GPU to this process",
    "cudaErrorSystemDriverMismatch": "Kernel module and user library of the driver differ",
    "cudaErrorSystemNotReady": "The GPU's system services are not ready",
    "cudaErrorCompatNotSupportedOnDevice": "This GPU does not take CUDA forward compatibility",
    "cudaErrorDevicesUnavailable": "Another process holds the GPU exclusively",
    "cudaErrorStubLibrary": "A stub of libcuda stands before the real one",
}


def _module() -> Any:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise RuntimeMissingError(
            f"cuda-bindings cannot be imported: {error}.",
            hint="pip install 'ra-daemon[tensorrt-rtx]' (or [tensorrt]) brings cuda-bindings.",
        ) from error
