"""OpenVINO on Intel's CPUs, as a provider of ONNX Runtime: BF16 and INT8 matrix units.

The provider plugin was as fast as the native API where we measured both (decision 0020), needs no
second API, and brings no telemetry package. Partition fallback to ONNX Runtime's own kernels is
off: what a result row names is what ran.
"""

from __future__ import annotations

import functools
import importlib
import json
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ra_engine.backends.onnxruntime import OnnxSession, refused
from ra_engine.cpu import cpu_features, has_bf16
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.spec import EngineSpec, Form, Precision

_PROVIDER = "OpenVINOExecutionProvider"
_HINTS: Mapping[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Always stated: left alone, OpenVINO computes an FP32 graph in BF16 where the processor can."""

_registering = threading.Lock()


class OpenVinoBackend:
    """Loads ONNX files into OpenVINO's CPU plugin; one image at a time."""

    name = "openvino"
    family = "cpu"
    forms: Mapping[Precision, Form] = {"fp32": "master", "bf16": "master", "int8": "u8"}

    def load(self, graph: Path, spec: EngineSpec) -> OnnxSession:
        """Load a graph with ``spec.threads`` compute threads, in the precision asked for.

        Raises:
            RuntimeMissingError: the provider is not installed.
            DeviceMemoryError: the operating system gives too little memory.
            BackendError: it refuses the graph, or the processor has no BF16.
        """
        if spec.precision == "bf16" and not has_bf16():
            raise BackendError(
                "This processor has no BF16 units: OpenVINO would emulate them.",
                hint="Use openvino:fp32, or onnxruntime:int8 after ra-daemon models build.",
            )
        ort, provider = _libraries()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        wanted = {
            "INFERENCE_PRECISION_HINT": _HINTS[spec.precision],
            "INFERENCE_NUM_THREADS": spec.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
        }
        try:
            # The provider ignores its own "precision" and "num_of_threads" in this version.
            options.add_provider_for_devices(
                [_device(ort, provider)], {"load_config": json.dumps({"CPU": wanted})}
            )
            session = ort.InferenceSession(str(graph), options, enable_fallback=0)
        except BackendError:
            raise
        except Exception as error:  # the runtime's exceptions have no common base
            raise refused(
                "openvino", graph, error, otherwise="else use the backend onnxruntime"
            ) from error
        key = f"openvino-{_version(provider)}-cpu-{spec.precision}"
        return OnnxSession(session, key, precision=spec.precision)

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """Versions of provider and host, and the processor's vector units.

        Raises:
            RuntimeMissingError: the provider is not installed.
            BackendError: it offers no device for this processor.
        """
        ort, provider = _libraries()
        _device(ort, provider)
        return {
            "version": _version(provider),
            "onnxruntime": ort.__version__,
            "cpu": cpu_features(),
            "hint": _HINTS[spec.precision],
        }


def _libraries() -> tuple[Any, Any]:
    try:
        return (
            importlib.import_module("onnxruntime"),
            importlib.import_module("onnxruntime_ep_openvino"),
        )
    except ImportError as error:
        raise RuntimeMissingError(
            f"OpenVINO cannot be imported: {error}", hint="pip install 'ra-daemon[openvino]'"
        ) from error


def _version(provider: Any) -> str:
    return metadata.version(provider.__name__.replace("_", "-"))


def _device(ort: Any, provider: Any) -> Any:
    """The provider's CPU; its library is registered once a process."""
    with _registering:
        found = _cpus(ort)
        if not found:
            _register(ort, provider)
            found = _cpus(ort)
    if not found:
        raise BackendError(
            "OpenVINO offers no CPU here.",
            hint="The provider takes Intel's processors only, with AVX2 or newer: on another one "
            "use onnxruntime:int8 after ra-daemon models build.",
        )
    return found[0]


@functools.cache
def _register(ort: Any, provider: Any) -> None:
    """Once a process: a second time is an error, also where the first one brought no device."""
    try:
        ort.register_execution_provider_library(_PROVIDER, provider.get_library_path())
    except Exception as error:  # the runtime's exceptions have no common base
        raise RuntimeMissingError(
            f"OpenVINO's library does not load: {type(error).__name__}",
            hint="Install it anew, of one age with onnxruntime: pip install 'ra-daemon[openvino]'",
        ) from error


def _cpus(ort: Any) -> list[Any]:
    return [
        d
        for d in ort.get_ep_devices()
        if d.ep_name == _PROVIDER and d.device.type == ort.OrtHardwareDeviceType.CPU
    ]
