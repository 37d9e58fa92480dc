"""Errors of the engine; ``RaError`` is the root of every error in the distribution.

RaError
├── EngineError            anything between an array and a finding
│   ├── BundleError        a bundle that cannot be trusted: missing file, wrong hash, bad manifest
│   ├── BackendError       a runtime that cannot load or run a graph
│   └── ScorerError        a scorer that broke its contract
└── (ra_daemon.errors)     the daemon's own branch
"""

from __future__ import annotations


class RaError(Exception):
    """Root of all errors.

    Attributes:
        code: stable identifier, ``noun.adjective``; documented in ``docs/errors.md``.
        hint: one sentence that names the remedy.
        retriable: whether the same call may succeed later without a change by a person.
    """

    code = "ra.error"
    hint = "See the log of the event for its cause."
    retriable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
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


class ScorerError(EngineError):
    """A scorer broke its contract; ``scorer`` is its name."""

    code = "scorer.failed"
    scorer = ""
    hint = "Run ra-daemon plugins check NAME and tell the plugin's author what it prints."
