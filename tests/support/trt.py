"""Recording doubles of TensorRT and CUDA, for machines without a GPU.

A "plan" is the ONNX file itself with a mark before it; executing one runs ONNX Runtime on numpy
arrays that stand for device memory. What the double checks is therefore everything on our side of
the API: names, shapes, addresses, padding, the order of copies, capture and replay, sizes, errors.
It proves nothing about TensorRT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ra_engine.backends.trt.cuda import Gpu, cuda_error

MARK = b"double-of-a-plan:"


class FakeCuda:
    """Device memory as numpy arrays; a stream runs at once, or records while capturing."""

    def __init__(self, *, free: int = 2**30, gpus: int = 1, fail: dict[str, str] | None = None):
        self.free, self.gpus, self.fail = free, gpus, fail or {}
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.calls: list[str] = []
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: list[list[Callable[[], None]]] = []
        self.next = 0x1000

    def _say(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise cuda_error(self.fail[name], name)

    def gpu(self, index: int) -> Gpu:
        self._say("gpu")
        if index >= self.gpus:
            raise cuda_error("cudaErrorInvalidDevice", "choosing a GPU")
        return Gpu(index=index, name="Double 1", sm=90, memory=2**34, driver="13.2")

    def choose(self, index: int) -> None:
        self._say(f"choose {index}")

    def free_memory(self) -> int:
        return self.free

    def stream(self) -> int:
        self._say("stream")
        return 7

    def allocate(self, size: int) -> int:
        self._say("allocate")
        address, self.next = self.next, self.next + size + 256
        self.memory[address] = np.full(size, 0xFF, np.uint8)  # NaN when read before written
        return address

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        self._say("pinned")
        return np.full(shape, np.nan, np.float32)

    def do(self, what: Callable[[], None]) -> None:
        if self.recording is not None:
            self.recording.append(what)
        else:
            what()

    def upload(self, device: int, host: NDArray[np.float32], size: int, stream: int) -> None:
        self._say("upload")
        assert stream == 7

        def copy() -> None:
            self.memory[device][:size] = host.reshape(-1).view(np.uint8)[:size]

        self.do(copy)

    def download(self, host: NDArray[np.float32], device: int, size: int, stream: int) -> None:
        self._say("download")
        assert stream == 7

        def copy() -> None:
            host.reshape(-1).view(np.uint8)[:size] = self.memory[device][:size]

        self.do(copy)

    def synchronize(self, stream: int) -> None:
        assert self.recording is None, "synchronising inside a capture is an error in CUDA"
        self._say("synchronize")

    def begin_capture(self, stream: int) -> None:
        self._say("begin_capture")
        self.recording = []

    def end_capture(self, stream: int) -> object:
        self._say("end_capture")
        assert self.recording is not None
        graph, self.recording = self.recording, None
        self.graphs.append(graph)
        return len(self.graphs) - 1

    def launch(self, graph: object, stream: int) -> None:
        self._say("launch")
        assert isinstance(graph, int)
        for step in self.graphs[graph]:
            step()

    def release(self) -> None:
        self._say("release")
        self.memory.clear()


@dataclass
class FakeContext:
    """Runs the graph at ``execute_async_v3`` with the shape that was stated."""

    engine: FakeEngine
    profile: int | None = None
    shape: tuple[int, ...] | None = None
    addresses: dict[str, int] = field(default_factory=dict)
    scratch: tuple[int, int] | None = None

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return 0 <= index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self.profile is not None, "a profile comes before shapes"
        low, _, high = self.engine.profiles[self.profile]
        self.shape = shape
        return name in self.engine.inputs and low <= shape[0] <= high

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return memory % 256 == 0 or memory > 0

    def set_device_memory(self, memory: int, size: int) -> None:
        self.scratch = (memory, size)

    def execute_async_v3(self, stream: int) -> bool:
        assert self.shape is not None
        assert self.scratch is not None
        assert self.scratch[1] >= self.engine.get_device_memory_size_for_profile_v2(
            self.profile or 0
        )
        left = self.engine.library.fail.get("execute")
        if left is not None and self.engine.library.calls.count(("execute", None)) >= left:
            return False
        self.engine.library.calls.append(("execute", None))
        self.engine.library.cuda.do(self._work)
        return True

    def _work(self) -> None:
        memory = self.engine.library.cuda.memory
        assert self.shape is not None
        (name,) = self.engine.inputs
        count = int(np.prod(self.shape))
        x = memory[self.addresses[name]].view(np.float32)[:count].reshape(self.shape)
        self.engine.library.batches.append(self.shape[0])
        found = self.engine.session.run(list(self.engine.outputs), {name: x})
        for out, value in zip(self.engine.outputs, found, strict=True):
            raw = np.ascontiguousarray(value, np.float32).reshape(-1).view(np.uint8)
            memory[self.addresses[out]][: raw.size] = raw


class FakeEngine:
    """An engine over an ONNX Runtime session."""

    profiles: tuple[tuple[int, ...], ...] = ((1, 1, 2), (1, 16, 32))

    def __init__(self, library: FakeTrt, content: bytes) -> None:
        self.library = library
        self.session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: i.shape for i in self.session.get_inputs()}
        self.outputs = {o.name: o.shape for o in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.num_optimization_profiles = library.fail.get("profiles", 2)
        stated = [a for name, a in library.calls if name == "profile"]
        if stated:
            self.profiles = tuple(tuple(shape[0] for shape in a[1:]) for a in stated)
            self.num_optimization_profiles = library.fail.get("profiles", len(stated))
        self.contexts: list[FakeContext] = []

    def get_tensor_name(self, index: int) -> str:
        return [*self.outputs, *self.inputs][index]

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self.inputs else "output"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        _, *row = {**self.inputs, **self.outputs}[name]
        return (-1, *row)

    def get_tensor_dtype(self, name: str) -> str:
        return str(self.library.fail.get("dtype", "float"))

    def get_device_memory_size_for_profile_v2(self, index: int) -> int:
        return 4096 * (1 + 15 * index)

    def create_runtime_config(self) -> Any:
        self.library.settings = SimpleNamespace(
            set_execution_context_allocation_strategy=lambda s: setattr(
                self.library.settings, "strategy", s
            )
        )
        return self.library.settings

    def create_execution_context(self, strategy: object) -> FakeContext | None:
        if self.library.fail.get("context"):
            return None
        self.contexts.append(FakeContext(engine=self))
        return self.contexts[-1]


class FakeTrt:
    """Stands for the module ``tensorrt`` or ``tensorrt_rtx``.

    ``fail`` says what goes wrong: parse, plan, load, validity (bits), context, profiles, and
    execute, the number of runs that go well before one fails.
    """

    __version__ = "0.0.double"

    class ILogger:
        def __init__(self) -> None:
            self.base = True

    BuilderFlag = SimpleNamespace(TF32=6)
    DataType = SimpleNamespace(FLOAT="float")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=0)
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
    EngineValidity = SimpleNamespace(VALID=0, SUBOPTIMAL=1, INVALID=2)
    EngineInvalidityDiagnostics = SimpleNamespace(
        VERSION_MISMATCH=1, UNSUPPORTED_CC=2, OLD_CUDA_DRIVER=4, OLD_CUDA_RUNTIME=8,
        INSUFFICIENT_GPU_MEMORY=16, MALFORMED_ENGINE=32, CUDA_ERROR=64,
    )  # fmt: skip

    def __init__(self, cuda: FakeCuda | None = None, **fail: Any) -> None:
        self.cuda = cuda or FakeCuda()
        self.fail = fail
        self.calls: list[tuple[str, Any]] = []
        self.batches: list[int] = []
        self.engines: list[FakeEngine] = []
        self.settings: Any = None
        self.parsed: Path | None = None

    def Builder(self, logger: Any) -> FakeTrt:  # noqa: N802
        self.logger = logger
        return self

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        def parse(path: str) -> bool:
            self.parsed = Path(path)
            return "parse" not in self.fail

        error = SimpleNamespace(
            desc=lambda: self.fail.get("parse", ""), node_name=lambda: "node_conv2d_3"
        )
        return SimpleNamespace(
            parse_from_file=parse, num_errors=int("parse" in self.fail), get_error=lambda _: error
        )

    def Runtime(self, logger: Any) -> FakeTrt:  # noqa: N802
        self.logger = logger
        return self

    def create_network(self, flags: int = 0) -> Any:
        assert flags == 1 << self.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return _FakeNetwork(self)

    def create_builder_config(self) -> Any:
        return _FakeConfig(self)

    def create_optimization_profile(self) -> Any:
        return SimpleNamespace(set_shape=lambda *a: self.calls.append(("profile", a)))

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        if "plan" in self.fail:
            self.logger.log(1, self.fail["plan"])
            return None
        assert self.parsed is not None
        return MARK + self.parsed.read_bytes()

    def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
        if "load" in self.fail or not plan.startswith(MARK):
            self.logger.log(1, self.fail.get("load", "Serialization assertion failed"))
            return None
        self.engines.append(FakeEngine(self, plan.removeprefix(MARK)))
        return self.engines[-1]

    def get_engine_validity(self, plan: bytes) -> tuple[int, int]:
        bits = self.fail.get("validity", 0)
        return (2 if bits else 0, bits)


class _FakeNetwork:
    num_inputs = 1
    num_layers = 3

    def __init__(self, library: FakeTrt) -> None:
        self.library = library

    def _session(self) -> ort.InferenceSession:
        assert self.library.parsed is not None
        return ort.InferenceSession(str(self.library.parsed), providers=["CPUExecutionProvider"])

    @property
    def num_outputs(self) -> int:
        return len(self._session().get_outputs())

    def get_input(self, index: int) -> Any:
        found = self._session().get_inputs()[index]
        _, *row = found.shape
        return SimpleNamespace(name=found.name, shape=(-1, *row), dtype="float")

    def get_output(self, index: int) -> Any:
        return SimpleNamespace(name=self._session().get_outputs()[index].name)


class _FakeConfig:
    builder_optimization_level = 3
    flags = 64

    def __init__(self, library: FakeTrt) -> None:
        self.library = library

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            self.library.calls.append((name, arguments))
            if name == "get_timing_cache":
                return SimpleNamespace(serialize=lambda: b"times")
            return 0

        return called
