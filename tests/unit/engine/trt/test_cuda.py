"""CUDA calls: against a double everywhere, against the real bindings where installed."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from ra_engine.backends.trt.cuda import CudaBindings, cuda_error
from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, RuntimeMissingError


class Code(int):
    """A ``cudaError_t``."""

    name: str

    def __new__(cls, value: int, name: str) -> Self:
        made = super().__new__(cls, value)
        made.name = name
        return made


OK = Code(0, "cudaSuccess")


class FakeRuntime:
    """``cuda.bindings.runtime``: every call succeeds unless named in ``fail``."""

    cudaStreamNonBlocking = 1  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __init__(self, **fail: str) -> None:
        self.fail, self.calls = fail, list[tuple[Any, ...]]()
        self.host = np.zeros(64, np.float32)
        properties = SimpleNamespace(name=b"Double", major=9, minor=0, totalGlobalMem=2**30)
        self.answers: dict[str, tuple[Any, ...]] = {
            "cudaGetDeviceCount": (2,),
            "cudaGetDeviceProperties": (properties,),
            "cudaDriverGetVersion": (13020,),
            "cudaMemGetInfo": (500, 1000),
            "cudaStreamCreateWithFlags": (11,),
            "cudaMalloc": (4096,),
            "cudaHostAlloc": (self.host.ctypes.data,),
            "cudaStreamEndCapture": ("graph",),
            "cudaGraphInstantiate": ("exec",),
        }

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            if name in self.fail:
                return (Code(1, self.fail[name]), None)
            return (OK, *self.answers.get(name, ()))

        return call


def test_a_gpu_is_chosen_and_described() -> None:
    runtime = FakeRuntime()
    gpu = CudaBindings(runtime).gpu(1)
    assert (gpu.name, gpu.sm, gpu.driver, gpu.memory) == ("Double", 90, "13.2", 2**30)
    assert ("cudaSetDevice", 1) in runtime.calls


def test_a_gpu_that_is_not_there_is_told_with_the_count() -> None:
    with pytest.raises(DriverError, match="no GPU 2; this machine shows 2"):
        CudaBindings(FakeRuntime()).gpu(2)


def test_pinned_memory_is_an_array_over_the_pointer() -> None:
    runtime = FakeRuntime()
    array = CudaBindings(runtime).pinned((2, 3))
    array[:] = 5
    assert runtime.host[:7].tolist() == [5, 5, 5, 5, 5, 5, 0]


def test_copies_name_both_ends_and_their_direction() -> None:
    runtime = FakeRuntime()
    cuda = CudaBindings(runtime)
    host = np.zeros(4, np.float32)
    cuda.upload(99, host, 16, 11)
    cuda.download(host, 99, 8, 11)
    assert runtime.calls[-2:] == [
        ("cudaMemcpyAsync", 99, host.ctypes.data, 16, 1, 11),
        ("cudaMemcpyAsync", host.ctypes.data, 99, 8, 2, 11),
    ]


def test_a_capture_becomes_an_executable_and_the_recording_is_freed() -> None:
    runtime = FakeRuntime()
    cuda = CudaBindings(runtime)
    cuda.begin_capture(11)
    assert cuda.end_capture(11) == "exec"
    assert ("cudaGraphDestroy", "graph") in runtime.calls


def test_release_frees_each_thing_once() -> None:
    runtime = FakeRuntime()
    cuda = CudaBindings(runtime)
    cuda.allocate(8)
    cuda.pinned((1,))
    cuda.stream()
    cuda.begin_capture(11)
    cuda.end_capture(11)
    cuda.release()
    cuda.release()
    freed = [c[0] for c in runtime.calls]
    for name in ("cudaGraphExecDestroy", "cudaFree", "cudaFreeHost", "cudaStreamDestroy"):
        assert freed.count(name) == 1


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("cudaErrorMemoryAllocation", DeviceMemoryError, "too little memory"),
        ("cudaErrorInsufficientDriver", DriverError, "No NVIDIA driver, or one too old"),
        ("cudaErrorNoDevice", DriverError, "shows no GPU"),
        ("cudaErrorSystemDriverMismatch", DriverError, "differ"),
        ("cudaErrorIllegalAddress", BackendError, "cudaErrorIllegalAddress"),
    ],
)
def test_every_failure_has_one_line_and_a_remedy(
    name: str, error: type[BackendError], text: str
) -> None:
    made = cuda_error(name, "testing")
    assert type(made) is error
    assert text in str(made)
    assert len(made.hint) > 20


def test_a_failing_call_raises() -> None:
    with pytest.raises(DeviceMemoryError, match="allocating 1 MiB failed"):
        CudaBindings(FakeRuntime(cudaMalloc="cudaErrorMemoryAllocation")).allocate(2**20)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(RuntimeMissingError) as caught:
        CudaBindings()
    assert "ra-daemon[tensorrt-rtx]" in caught.value.hint


class Counted:
    """The real bindings with a device count that lets the adapter be made."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        if name == "cudaGetDeviceCount":
            return lambda: (OK, 1)
        return getattr(self.real, name)


def test_the_real_bindings_take_our_arguments() -> None:
    """Without a GPU each call must fail with CUDA's own error, never with a TypeError."""
    real = pytest.importorskip("cuda.bindings.runtime", reason="install ra-daemon[tensorrt-rtx]")
    if int(real.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("this machine has a GPU: the calls would do something")
    cuda = CudaBindings(Counted(real))
    host = np.zeros(4, np.float32)
    for call in (
        lambda: cuda.gpu(0),
        lambda: cuda.choose(0),
        cuda.free_memory,
        cuda.stream,
        lambda: cuda.allocate(16),
        lambda: cuda.pinned((4,)),
        lambda: cuda.upload(4096, host, 16, 1),
        lambda: cuda.download(host, 4096, 16, 1),
        lambda: cuda.synchronize(1),
        lambda: cuda.begin_capture(1),
        lambda: cuda.end_capture(1),
        lambda: cuda.launch(real.cudaGraphExec_t(), 1),
    ):
        with pytest.raises(BackendError):
            call()


def test_no_driver_is_told_as_such() -> None:
    real = pytest.importorskip("cuda.bindings.runtime", reason="install ra-daemon[tensorrt-rtx]")
    if int(real.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("this machine has a GPU")
    with pytest.raises(DriverError):
        CudaBindings(real)
