"""What the processor can do: the vector units that decide kernels and precision."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM_UNITS = ("asimd", "asimddp", "i8mm", "bf16", "sve")


@functools.cache
def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Vector units that matter here, in a fixed order, with the architecture first.

    Units are read from Linux's ``/proc/cpuinfo``; elsewhere only the architecture is known.
    """
    machine = platform.machine().lower() or "unknown"
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return (machine,)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            held = frozenset(value.split())
            return (machine, *(u for u in (*_UNITS, *_ARM_UNITS) if u in held))
    return (machine,)


def has_bf16() -> bool:
    """Whether matrix products in BF16 are native: without it BF16 is emulated and slower."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_features()))
