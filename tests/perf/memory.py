"""Peak memory of a process; imports nothing that a measured process would not have."""

from __future__ import annotations

from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """Most resident MB that a program had until now, as the kernel keeps it.

    Of this program alone: what getrusage tells holds the parent's memory from before exec.

    Raises:
        OSError: there is no such process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1]) / 1024
    return float("nan")
