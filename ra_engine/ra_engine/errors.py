"""Errors of the engine; ``RaError`` is the root of every error in the distribution.

RaError
├── EngineError            anything between an array and a finding
│   ├── BundleError        a bundle that cannot be trusted: missing file, wrong hash, bad manifest
│   ├── BackendError       a runtime that cannot load or run a graph
│   │   ├── RuntimeMissingError  its library is not installed
│   │   ├── DriverError          no GPU, no driver, or one that does not fit the library
│   │   ├── DeviceMemoryError    the device or the configured bound is too small
│   │   ├── EngineFileError      a built engine that does not load
│   │   └── GateError            a built engine that does not say what the reference says
│   └── ScorerError        a scorer that broke its contract
└── (ra_daemon.errors)     the daemon's own branch
"""

from __future__ import annotations


class RaError(Exception):
    """Root of all errors.

    Attributes:
        code: stable identifier, ``noun.adjective``; documented in ``docs/errors.md``.
        hint: one sentence that names the remedy; without one of its own an error has its kind's.
        retriable: whether the same call may succeed later without a change by a person.
    """

    code = "ra.error"
    hint = "See the log of the event for its cause."
    retriable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class EngineError(RaError):
    """The engine could not turn an array into a finding."""

    code = "engine.failed"


class BundleError(EngineError):
    """A model bundle cannot be trusted."""

    code = "bundle.invalid"
    hint = "Install the bundle again: ra-daemon models install PATH, then ra-daemon models verify."


class BackendError(EngineError):
    """A runtime cannot load or run a graph."""

    code = "backend.failed"
    hint = "Run ra-daemon doctor: it names the missing library or the device at fault."


class RuntimeMissingError(BackendError):
    """The library of a runtime is not installed, or not whole."""

    code = "backend.missing"
    hint = "Install the extra that docs/engines.md names for this backend."


class DriverError(BackendError):
    """No GPU, no driver, or a driver that does not fit the library."""

    code = "backend.driver"
    hint = "Run nvidia-smi: CUDA 13 needs driver 580 or newer; then ra-daemon doctor."


class DeviceMemoryError(BackendError):
    """The device, or the bound set for it, is too small for the engine."""

    code = "backend.memory"
    hint = "Free GPU memory (nvidia-smi lists its users), or raise [engine] device_memory_mib."
    retriable = True


class EngineFileError(BackendError):
    """A built engine does not load: another version, another device, or a damaged file."""

    code = "backend.engine"
    hint = "Build it again on this machine: ra-daemon models build."


class GateError(BackendError):
    """A built engine failed the numeric gate: it does not say what the FP32 reference says."""

    code = "backend.gate"
    hint = "Use another precision or backend; ra-daemon models build --json shows the figures."


class ScorerError(EngineError):
    """A scorer broke its contract; ``scorer`` is its name."""

    code = "scorer.failed"
    scorer = ""
    hint = "Run ra-daemon plugins check NAME and tell the plugin's author what it prints."
