"""Filters of system calls, as a service manager sets them, for a process and its children.

A filter cannot be taken off again: install it in a process that the test started for it.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import struct
import subprocess
from collections.abc import Collection
from pathlib import Path

SETPRIORITY = {"x86_64": 141, "aarch64": 140}.get(platform.machine(), -1)
"""Number of the call behind ``os.nice``; -1 on a processor that the tests do not know."""

_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2  # prctl(2)
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _EPERM = 0x7FFF0000, 0x00050000 | errno.EPERM


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def refuse(numbers: Collection[int]) -> None:
    """From now on these calls fail with EPERM."""
    _install(numbers, listed=_EPERM, others=_ALLOW)


def allow_only(numbers: Collection[int]) -> None:
    """From now on all other calls fail with EPERM."""
    _install(numbers, listed=_ALLOW, others=_EPERM)


def calls_of_unit(unit: Path, analyze: Path) -> set[int]:
    """Numbers of the calls that a unit's ``SystemCallFilter`` lines leave, in their order."""
    allowed = _expanded("@default", analyze)  # systemd adds these to every list
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(), re.MULTILINE):
        names: set[str] = set()
        for word in line.removeprefix("~").split():
            names |= _expanded(word, analyze)
        allowed = allowed - names if line.startswith("~") else allowed | names
    library = ctypes.CDLL("libseccomp.so.2")  # systemd itself needs it
    numbers = {library.seccomp_syscall_resolve_name(name.encode()) for name in allowed}
    return {n for n in numbers if n >= 0}  # below: none of this processor


def _expanded(word: str, analyze: Path) -> set[str]:
    """A call, or all calls of a group and of the groups in it."""
    if not word.startswith("@"):
        return {word}
    told = subprocess.run(
        [analyze, "syscall-filter", "--no-pager", word], capture_output=True, text=True, check=True
    )
    found: set[str] = set()
    for line in told.stdout.splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            found |= _expanded(name, analyze)
    return found


def _install(numbers: Collection[int], *, listed: int, others: int) -> None:
    code = [(_LOAD, 0, 0, 0)]  # the number of the call
    for number in sorted(numbers):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, listed)]
    code.append((_RETURN, 0, 0, others))
    lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = _Program(len(code), ctypes.cast(lines, ctypes.c_void_p))
    library = ctypes.CDLL(None, use_errno=True)
    for words in (
        (_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if library.prctl(*words):
            raise OSError(ctypes.get_errno(), "This kernel takes no filter of system calls.")
