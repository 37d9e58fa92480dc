"""The backend class of both flavours, and the session it gives."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.trt.api import TensorRt
from ra_engine.backends.trt.cuda import Cuda, CudaBindings, Gpu
from ra_engine.backends.trt.deserialise import Loaded
from ra_engine.backends.trt.flavour import Flavour
from ra_engine.backends.trt.network import PROFILES, Recipe, build_plan
from ra_engine.backends.trt.runner import Limits, Runner
from ra_engine.errors import BackendError
from ra_engine.recipe import RECIPE
from ra_engine.spec import EngineSpec, Form, Precision

STANDING = "never run by us"
"""What doctor, docs and benchmarks say of both backends until one of us has had a device."""

_RUNNER = "runner-1"
"""Raised when the runner asks something else of a plan (profiles aside): part of the key."""


class TrtBackend:
    """Builds plans and runs them.

    Attributes:
        name: ``tensorrt`` or ``tensorrt-rtx``.
        standing: whether anybody here has seen it run.
    """

    family = "cuda"
    suffix = ".plan"
    forms: Mapping[Precision, Form] = {
        "fp32": "master", "fp16": "cast", "bf16": "cast", "int8": "s8",
    }  # fmt: skip
    standing = STANDING

    def __init__(
        self, flavour: Flavour, *, api: TensorRt | None = None, cuda: Cuda | None = None
    ) -> None:
        self.name = flavour.name
        self._flavour, self._given, self._cuda = flavour, api, cuda

    def load(self, graph: Path, spec: EngineSpec) -> TrtSession:
        """Build and load without a cache; the graph is in the precision's form.

        Raises:
            BackendError: see ``build`` and ``open``.
        """
        plan = self.build(graph, spec)
        version, digest = self._flavour_api().__version__, hashlib.sha256(plan).hexdigest()
        key = f"{self.name}-{version}-{spec.device}-{spec.precision}-{digest[:12]}"
        return self.open(graph, plan, spec, key=key)

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """What a plan depends on besides the graph: enters the cache key.

        Raises:
            RuntimeMissingError: the library is not installed.
            DriverError: there is no such GPU.
        """
        api, gpu = self._flavour_api(), self._device().gpu(_ordinal(spec))
        return {
            "backend": self.name,
            "version": api.__version__,
            "runner": _RUNNER,
            "recipe": RECIPE,
            "precision": spec.precision,
            "driver": gpu.driver.partition(".")[0],
            "gpu": gpu.name,
            "sm": gpu.sm,
            "platform": f"{platform.system()}-{platform.machine()}",
            "build": _recipe(spec).facts(),
        }

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        """A plan from a graph that is already in the wanted precision.

        Raises:
            BackendError: an operator is not supported, or the builder gave up; the line says why.
        """
        api, gpu = self._flavour_api(), self._device().gpu(_ordinal(spec))
        held = None
        if not self._flavour.rtx and spec.cache is not None:
            held = spec.cache / f"timing-{api.__version__}-sm{gpu.sm}.cache"
        timing = None if held is None else held.read_bytes() if held.is_file() else b""
        plan = build_plan(api, graph, _recipe(spec), timing=timing)
        if held is not None:
            _replace(held, plan.timing)
        return plan.content

    def open(self, graph: Path, engine: bytes, spec: EngineSpec, *, key: str) -> TrtSession:
        """Load a plan whose hash the caller has checked, and warm every batch size up.

        Raises:
            EngineFileError: the plan is stale or damaged: build it again.
            DriverError: driver or device do not fit.
            DeviceMemoryError: it does not fit into the bound or the device.
        """
        del graph
        api, cuda = self._flavour_api(), self._device()
        gpu = cuda.gpu(_ordinal(spec))
        loaded = Loaded(api, engine, rtx=self._flavour.rtx)
        limits = Limits(gpu=gpu.index, memory=spec.device_memory, buckets=spec.buckets)
        try:
            runner = Runner(
                api, cuda, loaded.engine, plan=len(engine), rtx=self._flavour.rtx, limits=limits
            )
            runner.warm_up()
        except BackendError:
            cuda.release()
            raise
        return TrtSession(loaded, runner, gpu, key=key, precision=spec.precision)

    def _flavour_api(self) -> TensorRt:
        return self._given if self._given is not None else self._flavour.load()

    def _device(self) -> Cuda:
        """A new set of handles for each session in production; the double in tests."""
        return self._cuda if self._cuda is not None else CudaBindings()


class TrtSession:
    """A plan on a GPU.

    Attributes:
        key: as the caller gave it.
        precision: of the body.
        device: ``cuda:N``.
        gpu: what that device is.
        memory: device bytes held.
    """

    standing = STANDING

    def __init__(
        self, loaded: Loaded, runner: Runner, gpu: Gpu, *, key: str, precision: Precision
    ) -> None:
        self._loaded, self._runner = loaded, runner  # the library's objects must live together
        self.gpu, self.device, self.key = gpu, f"cuda:{gpu.index}", key
        self.precision: Precision = precision
        self.memory = runner.memory

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 1, rows, columns) float32 -> every output by name.

        Raises:
            BackendError: the array does not fit, or the device failed.
        """
        return self._runner.run(array)

    def close(self) -> None:
        """Give the device memory back."""
        self._runner.close()


def _ordinal(spec: EngineSpec) -> int:
    if spec.ordinal is None:
        raise BackendError(
            f"TensorRT needs a GPU, and the device is {spec.device!r}.",
            hint='Set [engine] device = "cuda:0", or name a CPU backend in [engine] backends.',
        )
    return spec.ordinal


def _recipe(spec: EngineSpec) -> Recipe:
    latency, (low, best, _) = PROFILES
    if spec.rows <= latency[2]:
        return Recipe(profiles=(latency,), workspace=spec.device_memory)
    throughput = (low, min(best, spec.rows), spec.rows)
    return Recipe(profiles=(latency, throughput), workspace=spec.device_memory)


def _replace(path: Path, content: bytes) -> None:
    """Write beside, then rename: a reader sees the old file or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).replace(path)
