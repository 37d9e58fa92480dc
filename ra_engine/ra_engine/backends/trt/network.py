"""From an ONNX file to a plan: parse, profiles, build. Needs no GPU with TensorRT-RTX."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ra_engine.backends.trt.api import (
    Builder,
    BuilderConfig,
    Network,
    Parser,
    Profile,
    Tensor,
    TensorRt,
)
from ra_engine.backends.trt.logbook import Logbook
from ra_engine.errors import BackendError, DeviceMemoryError

PROFILES = ((1, 1, 2), (1, 16, 32))
"""Batch sizes (smallest, best, largest): one profile for latency, one for throughput."""

_INPUT_RANK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a plan is built; every field is part of the engine key.

    Attributes:
        tf32: whether FP32 convolutions may use TF32. Off: an FP32 engine is then FP32.
        level: the builder's optimisation level, 0 to 5.
        workspace: bytes of scratch memory the builder may plan for; None leaves it to the library.
        targets: names of ``ComputeCapability`` (TensorRT-RTX); empty: the library's default set,
            which builds without a GPU.
    """

    profiles: tuple[tuple[int, int, int], ...] = PROFILES
    tf32: bool = False
    level: int = 3
    workspace: int | None = None
    targets: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        """For the engine key."""
        return {
            "profiles": [list(p) for p in self.profiles],
            "tf32": self.tf32,
            "level": self.level,
            "workspace": self.workspace,
            "targets": list(self.targets),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A serialised engine and what the builder said about it."""

    content: bytes
    layers: int
    outputs: tuple[str, ...]
    timing: bytes = b""


def build_plan(api: TensorRt, graph: Path, recipe: Recipe, *, timing: bytes | None = None) -> Plan:
    """Build a plan from an ONNX file with input (batch, 1, rows, columns).

    The file's own types decide the precision: networks are strongly typed.

    Args:
        timing: content of a timing cache, b"" to start one, None for none. TensorRT-RTX must
            get None: touching its cache asks for a GPU.

    Raises:
        BackendError: an operator is not supported (it is named), or the builder gave up.
        DeviceMemoryError: the builder ran out of memory.
    """
    book = Logbook(api)
    builder: Builder = api.Builder(book.sink)
    network: Network = builder.create_network(_strongly_typed(api))
    _parse(api, network, graph, book)
    config: BuilderConfig = builder.create_builder_config()
    config.builder_optimization_level = recipe.level
    if not recipe.tf32:
        flags: Any = _of(api, "BuilderFlag")
        config.clear_flag(flags.TF32)
    if recipe.workspace is not None:
        pools: Any = _of(api, "MemoryPoolType")
        config.set_memory_pool_limit(pools.WORKSPACE, recipe.workspace)
    _add_profiles(builder, config, network.get_input(0), recipe.profiles)
    _set_targets(api, config, recipe.targets)
    if timing is not None:
        config.set_timing_cache(config.create_timing_cache(timing), False)  # noqa: FBT003 - positional there
    content = builder.build_serialized_network(network, config)
    if content is None:  # the setters answer True for targets that fail only here
        raise _gave_up(graph, book)
    return Plan(
        content=bytes(content),
        layers=network.num_layers,
        outputs=tuple(network.get_output(i).name for i in range(network.num_outputs)),
        timing=bytes(config.get_timing_cache().serialize()) if timing is not None else b"",
    )


def _parse(api: TensorRt, network: Network, graph: Path, book: Logbook) -> None:
    parser: Parser = api.OnnxParser(network, book.sink)
    if not parser.parse_from_file(os.fspath(graph)) or parser.num_errors:
        raise _refused(graph, [parser.get_error(i) for i in range(parser.num_errors)])
    if network.num_inputs != 1:
        raise BackendError(f"{graph.name} has {network.num_inputs} inputs; a bundle's has one.")
    if len(tuple(network.get_input(0).shape)) != _INPUT_RANK:
        raise BackendError(f"{graph.name} does not take (batch, 1, rows, columns).")


def _refused(graph: Path, errors: Sequence[Any]) -> BackendError:
    first = errors[0] if errors else None
    where = f" at node {first.node_name()}" if first is not None and first.node_name() else ""
    what = " ".join(first.desc().split())[:300] if first is not None else "no reason given"
    hint = "Export the bundle again with opset 20, or name another backend in [engine] backends."
    if "must have type FP8" in what or "shiftIsAllZeros" in what:
        hint = "This is the Q/DQ file for ONNX Runtime: build the symmetric one for TensorRT."
    return BackendError(f"The parser refuses {graph.name}{where}: {what}", hint=hint)


def _add_profiles(
    builder: Builder, config: BuilderConfig, tensor: Tensor, batches: Sequence[tuple[int, int, int]]
) -> None:
    _, *size = (int(n) for n in tensor.shape)
    if any(n < 1 for n in size):
        raise BackendError(f"Rows and columns of {tensor.name} must be fixed, not {size}.")
    for low, best, high in batches:
        profile: Profile = builder.create_optimization_profile()
        profile.set_shape(tensor.name, (low, *size), (best, *size), (high, *size))
        if config.add_optimization_profile(profile) < 0:
            raise BackendError(f"Profile {low}, {best}, {high} of {tensor.name} was refused.")


def _set_targets(api: TensorRt, config: Any, targets: Sequence[str]) -> None:
    if not targets:
        return
    known: Any = _of(api, "ComputeCapability")
    config.num_compute_capabilities = len(targets)
    for i, name in enumerate(targets):
        config.set_compute_capability(getattr(known, name), i)


def _gave_up(graph: Path, book: Logbook) -> BackendError:
    said = book.last() or "no reason given"
    if "memory" in said.lower():
        return DeviceMemoryError(
            f"The builder ran out of memory on {graph.name}: {said}",
            hint="Free memory, or lower [engine] device_memory_mib and build again.",
        )
    if "FP32 GEMM is not supported" in said:
        return BackendError(
            f"This GPU does not take an FP32 engine of {graph.name}.",
            hint="Turing needs FP16: ra-daemon models build --precision fp16.",
        )
    return BackendError(
        f"The builder gave no plan for {graph.name}: {said}",
        hint="Send the line above with ra-daemon doctor --json; another backend will serve.",
    )


def _strongly_typed(api: TensorRt) -> int:
    """The flag that 10.x needs; 11 knows no other networks and takes it all the same."""
    flags: Any = _of(api, "NetworkDefinitionCreationFlag")
    return 1 << int(flags.STRONGLY_TYPED)


def _of(api: TensorRt, name: str) -> object:
    return getattr(api, name)
