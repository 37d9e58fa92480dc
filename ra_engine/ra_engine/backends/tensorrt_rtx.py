"""TensorRT-RTX: for RTX workstations, and the one of the two whose builder CI can run."""

from __future__ import annotations

from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT_RTX


def backend() -> TrtBackend:
    """The backend ``tensorrt-rtx``; the library is imported when it is first asked for."""
    return TrtBackend(TENSORRT_RTX)
