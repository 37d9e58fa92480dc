"""Runs an engine: named tensors, one stream, pinned staging, one CUDA graph per batch bucket."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.trt.api import Context, Engine, EngineOfRtx, TensorRt
from ra_engine.backends.trt.cuda import Cuda
from ra_engine.backends.trt.staging import shapes, slot
from ra_engine.errors import BackendError, DeviceMemoryError, EngineFileError
from ra_engine.spec import BUCKETS

_LATENCY = 2
"""The largest bucket of profile 0; larger ones run with profile 1."""
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine may use.

    Attributes:
        gpu: number of the device.
        memory: most bytes of device memory; None: what is free.
        buckets: batch sizes that run, rising; a batch is padded with zeros up to the next one.
    """

    gpu: int = 0
    memory: int | None = None
    buckets: tuple[int, ...] = BUCKETS


class Runner:
    """One engine on one GPU; calls are serialised by a lock.

    Attributes:
        memory: device bytes held for weights (as large as the plan), scratch and staging.
    """

    def __init__(
        self, api: TensorRt, cuda: Cuda, engine: Engine, *, plan: int, rtx: bool, limits: Limits
    ) -> None:
        """Allocate everything, once.

        Args:
            plan: bytes of the plan, taken for the weights' size on the device.

        Raises:
            DeviceMemoryError: the bound, or what is free, is too small.
            EngineFileError: the engine is not one of ours.
        """
        self._api, self._cuda, self._engine, self._rtx = api, cuda, engine, rtx
        self._lock = threading.Lock()
        self.buckets, self._gpu = limits.buckets, limits.gpu
        if engine.num_optimization_profiles <= max(map(_profile, self.buckets)):
            raise EngineFileError("The engine lacks a profile for these batches.")
        (name, row), outputs = shapes(api, engine)
        rows = self.buckets[-1]
        self.memory = plan + self._scratch() + _staging([row, *outputs.values()], rows)
        self._fits(limits.memory, held=plan)
        self._stream = cuda.stream()
        self._in = slot(cuda, name, row, rows)
        self._out = [slot(cuda, n, shape, rows) for n, shape in outputs.items()]
        self._contexts = self._make_contexts()
        self._captured: dict[int, object] = {}

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 1, rows, columns) -> outputs by name; any batch size, in pieces where needed.

        Raises:
            BackendError: the array does not fit, or the device failed.
        """
        if array.shape[1:] != self._in.shape or len(array) == 0:
            raise BackendError(f"The engine takes (batch, {self._in.shape}), not {array.shape}.")
        most = self.buckets[-1]
        with self._lock:
            if not self._contexts:
                raise BackendError("The engine was closed.")  # its pinned memory is gone
            self._cuda.choose(self._gpu)
            parts = [self._piece(array[i : i + most]) for i in range(0, len(array), most)]
        return {s.name: np.concatenate([p[k] for p in parts]) for k, s in enumerate(self._out)}

    def warm_up(self) -> None:
        """Run and capture every bucket once, so that no study pays for it."""
        with self._lock:
            self._cuda.choose(self._gpu)
            for bucket in self.buckets:
                self._piece(np.zeros((bucket, *self._in.shape), np.float32))

    def close(self) -> None:
        """Give all device memory back; the runner is unusable after."""
        with self._lock:
            self._cuda.choose(self._gpu)
            self._contexts.clear()  # before their memory
            self._cuda.release()

    def _piece(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        count = len(rows)
        bucket = next(b for b in self.buckets if b >= count)
        self._in.host[:count] = rows
        self._in.host[count:bucket] = 0
        self._launch(bucket)
        self._cuda.synchronize(self._stream)
        return [s.host[:count].copy() for s in self._out]

    def _launch(self, bucket: int) -> None:
        graph = self._captured.get(bucket)
        if graph is not None:
            self._cuda.launch(graph, self._stream)
            return
        self._enqueue(bucket)
        if self._rtx:
            return  # it captures its graphs itself, see _settings
        # The first run of a shape allocates and loads kernels; neither may happen in a capture.
        self._cuda.synchronize(self._stream)
        self._cuda.begin_capture(self._stream)
        try:
            self._enqueue(bucket)
        except BackendError:
            with suppress(BackendError):  # a stream must not be left capturing
                self._cuda.end_capture(self._stream)
            raise
        self._captured[bucket] = self._cuda.end_capture(self._stream)

    def _enqueue(self, bucket: int) -> None:
        self._cuda.upload(self._in.device, self._in.host, bucket * self._in.row, self._stream)
        if not self._contexts[bucket].execute_async_v3(self._stream):
            raise BackendError(f"The engine failed on a batch of {bucket}.")
        for place in self._out:
            self._cuda.download(place.host, place.device, bucket * place.row, self._stream)

    def _make_contexts(self) -> dict[int, Context]:
        """One context a bucket, as captured graphs want it; one stream runs them in turn, so they
        share scratch memory."""
        size = self._scratch()
        memory = self._cuda.allocate(size) if size else 0
        contexts = {bucket: self._context(bucket, memory, size) for bucket in self.buckets}
        self._cuda.synchronize(self._stream)
        return contexts

    def _context(self, bucket: int, memory: int, size: int) -> Context:
        context: Context | None = self._engine.create_execution_context(self._settings())
        if context is None:
            raise DeviceMemoryError("The engine got no execution context.")
        ok = context.set_optimization_profile_async(_profile(bucket), self._stream)
        if size:
            context.set_device_memory(memory, size)
        ok = context.set_input_shape(self._in.name, (bucket, *self._in.shape)) and ok
        for place in (self._in, *self._out):
            ok = context.set_tensor_address(place.name, place.device) and ok
        if not ok:
            raise EngineFileError(f"The engine refuses a batch of {bucket}.")
        return context

    def _settings(self) -> Any:
        """What a context is made with: scratch memory is ours to give."""
        strategy: Any = getattr(self._api, "ExecutionContextAllocationStrategy")  # noqa: B009
        if not self._rtx:
            return strategy.USER_MANAGED
        settings = cast("EngineOfRtx", self._engine).create_runtime_config()
        settings.set_execution_context_allocation_strategy(strategy.USER_MANAGED)
        graphs: Any = getattr(self._api, "CudaGraphStrategy")  # noqa: B009
        settings.cuda_graph_strategy = graphs.WHOLE_GRAPH_CAPTURE
        return settings

    def _scratch(self) -> int:
        profiles = {_profile(b) for b in self.buckets}
        return max(self._engine.get_device_memory_size_for_profile_v2(p) for p in profiles)

    def _fits(self, bound: int | None, *, held: int) -> None:
        """Compare with the bound and with what is free; ``held`` is on the device already."""
        if bound is not None and self.memory > bound:
            raise DeviceMemoryError(
                f"The engine needs {self.memory // _MIB} MiB on the GPU; "
                f"the bound is {bound // _MIB} MiB.",
                hint="Raise [engine] device_memory_mib, or lower the largest batch.",
            )
        free = self._cuda.free_memory()
        if self.memory - held > free:
            raise DeviceMemoryError(
                f"The engine needs {(self.memory - held) // _MIB} MiB more on the GPU; "
                f"{free // _MIB} MiB are free."
            )


def _profile(bucket: int) -> int:
    return 0 if bucket <= _LATENCY else 1


def _staging(rows: list[tuple[int, ...]], count: int) -> int:
    return sum(4 * count * int(np.prod(row, dtype=np.int64)) for row in rows)
