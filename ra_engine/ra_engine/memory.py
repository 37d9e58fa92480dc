"""Too little memory for a runtime on the CPU: recognised, and told with its remedy.

Native runtimes report an allocation that failed under the class of any other failure; only the
message tells it apart.
"""

from __future__ import annotations

from ra_engine.errors import DeviceMemoryError

_SIGNS = (
    "bad_alloc",  # C++: std::bad_alloc
    "bad allocation",
    "cannot allocate memory",  # ENOMEM in words: threads, maps
    "can't allocate memory",  # torch
    "failed to allocate",  # arenas of ONNX Runtime
    "not enough memory",
)
HINT = (
    "Fewer [scoring] workers or threads, a higher [scoring] memory_limit_mb, or more memory for "
    "the service (MemoryMax of its unit, the container's limit)."
)


def exhausted(error: BaseException) -> bool:
    """Whether a runtime's exception says that an allocation failed."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in said for sign in _SIGNS)


def host_memory_error(name: str, doing: str) -> DeviceMemoryError:
    """The error of a runtime that got too little memory from the operating system.

    Args:
        name: of the backend.
        doing: what it could not do, e.g. "load graph.onnx".
    """
    return DeviceMemoryError(f"{name} got too little memory to {doing}.", hint=HINT)
