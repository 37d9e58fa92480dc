"""TensorRT: the GPU engine of production. Never run by us; see docs/decisions/0010."""

from __future__ import annotations

from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT


def backend() -> TrtBackend:
    """The backend ``tensorrt``; the library is imported when it is first asked for."""
    return TrtBackend(TENSORRT)
