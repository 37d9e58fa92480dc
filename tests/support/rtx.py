"""TensorRT-RTX on a machine without a GPU: parsing and building work, running does not."""

from __future__ import annotations

import importlib.util
import os
import platform

import pytest

from ra_engine.backends.trt.api import TensorRt
from ra_engine.backends.trt.flavour import TENSORRT_RTX


def builder() -> TensorRt:
    """The library; where it is absent the test is skipped, and fails in CI."""
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        message = f"tensorrt-rtx is not installed: {TENSORRT_RTX.remedy}"
        if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
            pytest.fail(message)
        pytest.skip(message)
    return TENSORRT_RTX.load()
