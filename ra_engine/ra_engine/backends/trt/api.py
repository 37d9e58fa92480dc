"""The part of the TensorRT Python API that we call, as types.

TensorRT 11 (and 10 from 10.3 on) and TensorRT-RTX 1.7 spell it alike; what only one of them has is
in ``OfRtx`` and ``EngineOfRtx``, reached only there. ``tests/unit/engine/trt/test_api.py``
holds all three real bindings against it: the vendor ships no stubs, so mypy reads stubs made from
the installed modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

ENUMS = {
    "BuilderFlag": ("TF32",),
    "DataType": ("FLOAT",),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
    "MemoryPoolType": ("WORKSPACE",),
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
}
"""Members of enumerations that we name, in both flavours."""

ENUMS_RTX = {
    "ComputeCapability": ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121", "CURRENT"),
    "CudaGraphStrategy": ("WHOLE_GRAPH_CAPTURE",),
    "EngineValidity": ("VALID", "SUBOPTIMAL", "INVALID"),
    "EngineInvalidityDiagnostics": (
        "VERSION_MISMATCH", "UNSUPPORTED_CC", "OLD_CUDA_DRIVER", "OLD_CUDA_RUNTIME",
        "INSUFFICIENT_GPU_MEMORY", "MALFORMED_ENGINE", "CUDA_ERROR",
    ),
}  # fmt: skip
"""Members that only TensorRT-RTX has."""


class HostMemory(Protocol):
    """Serialised bytes in the library's hands (buffer protocol)."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        ...


class Tensor(Protocol):
    """An input or output of a network."""

    @property
    def name(self) -> str:
        """Name in the graph."""
        ...

    @property
    def shape(self) -> Any:
        """Dimensions; -1 where dynamic."""
        ...

    @property
    def dtype(self) -> Any:
        """A ``DataType``."""
        ...


class Network(Protocol):
    """A parsed graph."""

    @property
    def num_inputs(self) -> int:
        """Inputs."""
        ...

    @property
    def num_outputs(self) -> int:
        """Outputs."""
        ...

    @property
    def num_layers(self) -> int:
        """Layers after parsing."""
        ...

    def get_input(self, index: int, /) -> Tensor:
        """Input by position."""
        ...

    def get_output(self, index: int, /) -> Tensor:
        """Output by position."""
        ...


class Profile(Protocol):
    """Shapes that an engine is tuned for."""

    def set_shape(self, name: str, low: Any, best: Any, high: Any, /) -> None:
        """Smallest, best and largest shape of an input."""
        ...


class TimingCache(Protocol):
    """Measured kernel times, kept between builds."""

    def serialize(self) -> HostMemory:
        """Bytes for a file."""
        ...


class BuilderConfig(Protocol):
    """How to build."""

    builder_optimization_level: int

    @property
    def flags(self) -> int:
        """The flag word."""
        ...

    def set_memory_pool_limit(self, pool: Any, size: int, /) -> None:
        """Bound a memory pool, in bytes."""
        ...

    def clear_flag(self, flag: Any, /) -> None:
        """Unset a ``BuilderFlag``."""
        ...

    def add_optimization_profile(self, profile: Any, /) -> int:
        """Add a profile; its index, or -1."""
        ...

    def create_timing_cache(self, content: bytes, /) -> Any:
        """A timing cache from bytes, empty to start one."""
        ...

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool, /) -> bool:  # noqa: FBT001
        """Use a timing cache; False when it belongs to another device."""
        ...

    def get_timing_cache(self) -> Any:
        """The cache in use."""
        ...


class Builder(Protocol):
    """Makes networks, configurations and plans."""

    def create_network(self, flags: int = 0, /) -> Any:
        """An empty, strongly typed ``Network``."""
        ...

    def create_builder_config(self) -> Any:
        """A ``BuilderConfig``."""
        ...

    def create_optimization_profile(self) -> Any:
        """A ``Profile``."""
        ...

    def build_serialized_network(self, network: Any, config: Any, /) -> Any:
        """A plan as ``HostMemory``, or None when building failed."""
        ...


class ParserError(Protocol):
    """One complaint of the ONNX parser."""

    def desc(self) -> str:
        """What is wrong."""
        ...

    def node_name(self) -> str:
        """Where."""
        ...


class Parser(Protocol):
    """Reads an ONNX file into a network."""

    @property
    def num_errors(self) -> int:
        """Complaints."""
        ...

    def parse_from_file(self, model: str, /) -> bool:
        """Whether the whole file was understood."""
        ...

    def get_error(self, index: int, /) -> Any:
        """A ``ParserError``."""
        ...


class Context(Protocol):
    """One execution state of an engine."""

    def set_optimization_profile_async(self, index: int, stream: int, /) -> bool:
        """Choose a profile."""
        ...

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool:
        """State an input's shape."""
        ...

    def set_tensor_address(self, name: str, memory: int, /) -> bool:
        """State where a tensor lies on the device."""
        ...

    def set_device_memory(self, memory: int, size: int, /) -> None:
        """Give the context its scratch memory."""
        ...

    def execute_async_v3(self, stream: int, /) -> bool:
        """Enqueue one inference."""
        ...


class Engine(Protocol):
    """A plan on a device."""

    @property
    def num_io_tensors(self) -> int:
        """Inputs and outputs."""
        ...

    @property
    def num_optimization_profiles(self) -> int:
        """Profiles."""
        ...

    def get_tensor_name(self, index: int, /) -> str:
        """Name by position."""
        ...

    def get_tensor_mode(self, name: str, /) -> Any:
        """A ``TensorIOMode``."""
        ...

    def get_tensor_shape(self, name: str, /) -> Any:
        """Dimensions; -1 where dynamic."""
        ...

    def get_tensor_dtype(self, name: str, /) -> Any:
        """A ``DataType``."""
        ...

    def get_device_memory_size_for_profile_v2(self, index: int, /) -> int:
        """Scratch bytes that a context of a profile needs."""
        ...

    def create_execution_context(self, strategy: Any, /) -> Any:
        """A ``Context``; takes an allocation strategy or a runtime configuration."""
        ...


class Runtime(Protocol):
    """Loads plans."""

    def deserialize_cuda_engine(self, plan: bytes, /) -> Any:
        """An ``Engine``, or None."""
        ...


class OfRtx(Protocol):
    """What the runtime of TensorRT-RTX has besides."""

    def get_engine_validity(self, plan: bytes, /) -> Any:
        """(``EngineValidity``, diagnostics bits)."""
        ...


class EngineOfRtx(Protocol):
    """What an engine of TensorRT-RTX has besides; TensorRT has it from 10.11 on."""

    def create_runtime_config(self) -> Any:
        """An ``IRuntimeConfig``."""
        ...


class TensorRt(Protocol):
    """The module itself."""

    __version__: str

    def Builder(self, logger: Any, /) -> Any:  # noqa: N802 - the vendor's names
        """A ``Builder``."""
        ...

    def OnnxParser(self, network: Any, logger: Any, /) -> Any:  # noqa: N802
        """A ``Parser``."""
        ...

    def Runtime(self, logger: Any, /) -> Any:  # noqa: N802
        """A ``Runtime``."""
        ...

    @property
    def ILogger(self) -> Any:  # noqa: N802
        """Base class of loggers."""
        ...


def members(module: object, enums: dict[str, tuple[str, ...]]) -> Iterable[str]:
    """Names in ``enums`` that ``module`` lacks."""
    for enum, names in enums.items():
        held = getattr(module, enum, None)
        for name in names:
            if not hasattr(held, name):
                yield f"{enum}.{name}"
