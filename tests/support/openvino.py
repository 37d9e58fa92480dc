"""OpenVINO where a test needs it: found, or the test says why it is skipped."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

import pytest

from ra_engine.backends.openvino import OpenVinoBackend
from ra_engine.errors import BackendError
from ra_engine.spec import EngineSpec


def openvino() -> OpenVinoBackend:
    """The backend; without the library the test fails under CI=true and is skipped elsewhere.

    On a processor of another maker than Intel the provider offers no device: skipped there too.
    """
    if importlib.util.find_spec("onnxruntime_ep_openvino") is None:
        message = "onnxruntime_ep_openvino is not installed: pip install 'ra-daemon[openvino]'"
        if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    backend = OpenVinoBackend()
    try:
        backend.facts(EngineSpec())
    except BackendError as error:
        if "GenuineIntel" in Path("/proc/cpuinfo").read_text(errors="replace"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"{error} {error.hint}")
    return backend
