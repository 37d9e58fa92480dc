"""A recording double of ``onnxruntime-gpu``, for machines without a GPU.

A session computes with the real runtime on the CPU. What the double checks is our side of the API:
options, providers, devices, batches, errors. Where the real wheel was seen to behave (1.31.1, on a
machine without CUDA), the double behaves the same. It proves nothing about CUDA.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from tests.support.trt import FakeCuda

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_OPTIONS = frozenset(
    {"device_id", "use_tf32", "cudnn_conv_algo_search", "arena_extend_strategy", "gpu_mem_limit"}
)
FALLBACK = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the "
    "default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
)


class Fail(Exception):  # noqa: N818 - the library's name
    """As the library's: no RuntimeError."""


class FakeOptions:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


class FakeSession:
    """Runs whole batches on the CPU; ``failing`` stands for what the device says."""

    def __init__(self, library: FakeOrt, path: str, options: FakeOptions, provider: Any) -> None:
        self.library, self.options = library, options
        self.provider, self.settings = provider
        self._inner = onnxruntime.InferenceSession(path, providers=[CPU])

    def get_providers(self) -> list[str]:
        return self.library.providers

    def get_inputs(self) -> Any:
        return self._inner.get_inputs()

    def get_outputs(self) -> Any:
        return self._inner.get_outputs()

    def run(self, names: list[str], feed: dict[str, NDArray[np.float32]]) -> Any:
        if self.library.failing:
            raise Fail(self.library.failing)
        self.library.batches.append(len(next(iter(feed.values()))))
        return self._inner.run(names, feed)


class FakeOrt:
    """Stands for the module ``onnxruntime`` of the wheel ``onnxruntime-gpu``.

    Attributes:
        refusing: what making a session raises.
        failing: what running one raises.
        libraries: whether CUDA's libraries are found: without them the provider is left out, which
            the real library tells by a warning only.
    """

    __version__ = "0.0.double"
    cuda_version = "13.0"
    SessionOptions = FakeOptions

    def __init__(self, *, refusing: str = "", libraries: bool = True) -> None:
        self.refusing, self.failing, self.libraries = refusing, "", libraries
        self.providers = [CUDA, CPU] if libraries else [CPU]
        self.batches: list[int] = []
        self.sessions: list[FakeSession] = []
        self.preloaded = 0

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def preload_dlls(self) -> None:
        self.preloaded += 1
        if not self.libraries:
            print("Failed to load libcublasLt.so.13")  # the real one prints

    def InferenceSession(  # noqa: N802
        self, path: str, options: FakeOptions, *, providers: Any, enable_fallback: int = 1
    ) -> FakeSession:
        assert enable_fallback == 0, "the wrapper would try again on the CPU"
        ((name, settings),) = providers
        assert name == CUDA
        assert settings.keys() <= _OPTIONS
        assert all(isinstance(v, str) for v in settings.values())
        if self.refusing:
            raise Fail(self.refusing)
        if not self.libraries and options.entries.get("session.disable_cpu_ep_fallback") == "1":
            raise Fail(FALLBACK)
        self.sessions.append(FakeSession(self, path, options, (name, settings)))
        return self.sessions[-1]


def backend(library: FakeOrt | None = None, cuda: FakeCuda | None = None) -> OnnxRuntimeCudaBackend:
    """The backend over doubles of library and CUDA."""
    return OnnxRuntimeCudaBackend(api=library or FakeOrt(), cuda=cuda or FakeCuda())


def settings_of(library: FakeOrt) -> SimpleNamespace:
    """What the last session was made with."""
    made = library.sessions[-1]
    return SimpleNamespace(
        provider=made.settings, entries=made.options.entries, options=made.options
    )
