"""From a plan's bytes to an engine on the chosen device, or one line that says why not."""

from __future__ import annotations

from typing import Any, cast

from ra_engine.backends.trt.api import Engine, OfRtx, TensorRt
from ra_engine.backends.trt.logbook import Logbook
from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, EngineFileError

_DIAGNOSES: dict[str, tuple[type[BackendError], str]] = {
    "OLD_CUDA_DRIVER": (DriverError, "the driver is older than the engine needs"),
    "OLD_CUDA_RUNTIME": (DriverError, "the CUDA runtime is older than the engine needs"),
    "INSUFFICIENT_GPU_MEMORY": (DeviceMemoryError, "the GPU has too little memory"),
    "UNSUPPORTED_CC": (DriverError, "the engine was not built for this kind of GPU"),
    "VERSION_MISMATCH": (EngineFileError, "the engine is of another library version"),
    "MALFORMED_ENGINE": (EngineFileError, "the engine file is damaged"),
    "CUDA_ERROR": (DriverError, "CUDA does not work on this machine"),
}
_HINTS = {
    "UNSUPPORTED_CC": "TensorRT-RTX serves compute capability 8.6, 8.9, 12.0 and 12.1; "
    "use the backend tensorrt or aoti on this GPU.",
}


class Loaded:
    """An engine, kept together with the runtime and the logger that it needs to live."""

    def __init__(self, api: TensorRt, plan: bytes, *, rtx: bool) -> None:
        """Load a plan whose hash the caller has checked: a plan is code.

        Raises:
            EngineFileError: the plan is damaged or of another version.
            DriverError: driver or device do not fit it.
            DeviceMemoryError: it does not fit into the device's memory.
        """
        self.book = Logbook(api)
        self._runtime: Any = api.Runtime(self.book.sink)
        if rtx:
            _check_validity(api, cast("OfRtx", self._runtime), plan)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise _why(self.book)
        self.engine = cast("Engine", engine)


def _check_validity(api: TensorRt, runtime: OfRtx, plan: bytes) -> None:
    validity, bits = runtime.get_engine_validity(plan)
    grades: Any = getattr(api, "EngineValidity")  # noqa: B009 - only TensorRT-RTX has it
    if validity != grades.INVALID:
        return
    names: Any = getattr(api, "EngineInvalidityDiagnostics")  # noqa: B009
    for name, (kind, what) in _DIAGNOSES.items():
        if int(bits) & int(getattr(names, name)):
            raise kind(f"The engine does not load: {what} ({name}).", hint=_HINTS.get(name))
    raise EngineFileError("The engine does not load; the library names no reason.")


def _why(book: Logbook) -> BackendError:
    said = book.last() or "the library names no reason"
    low = said.lower()
    if "out of memory" in low or "outofmemory" in low or "cudaerrormemoryallocation" in low:
        return DeviceMemoryError(f"The engine does not load: {said}")
    if "cudaerror 35" in low or "driver" in low:
        return DriverError(f"The engine does not load: {said}")
    return EngineFileError(f"The engine does not load: {said}")
