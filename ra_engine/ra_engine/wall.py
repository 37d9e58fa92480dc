"""The plugin load's isolation wall around a backend: what it raises becomes a BackendError.

A backend is a plugin over foreign native code, and a cache is a folder that others can harm. What
either raises that is none of our errors must cost its candidate, not the scorer: the next engine of
the order follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ra_engine.errors import BackendError, RaError
from ra_engine.memory import exhausted, host_memory_error

_LONGEST = 200


@contextmanager
def wall(backend: str) -> Iterator[None]:
    """Turn whatever is raised inside into a ``BackendError``; one of these passes as it is.

    To be used while engines are built and loaded, where no image of a patient has been seen: the
    foreign message is told.

    Args:
        backend: its name, for the message.

    Raises:
        DeviceMemoryError: this process got too little memory.
        BackendError: everything else.
    """
    try:
        yield
    except BackendError:
        raise
    except RaError as error:  # a plugin may raise those of other rooms too
        raise BackendError(str(error), hint=error.hint) from error
    except Exception as error:  # the plugin load's isolation wall: a plugin may raise anything
        if exhausted(error):
            raise host_memory_error(backend, "give an engine") from error
        raise BackendError(
            f"Backend {backend} raised {_told(error)}.",
            hint="Its package or a library below it is at fault: ra-daemon models build --backend "
            f"{backend}; else install it anew, or take it out of [engine] backends.",
        ) from error


def _told(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f": {lines[0][:_LONGEST]}" if lines else ""
    return type(error).__name__ + said.rstrip(".")
