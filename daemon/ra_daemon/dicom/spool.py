"""The file that an object is received into: a full disk is remembered, not raised.

pynetdicom writes a data set in the thread that serves its association. An error there ends the
thread: the sender waits for an answer in vain, and half a file stays. So the rest of the object is
taken off the line, its space is given back, and the handler of C-STORE answers with a status.
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import suppress
from typing import Any


class Spool(io.FileIO):
    """A file for one data set, in place of pynetdicom's ``NamedTemporaryFile``.

    Attributes:
        fault: the first error of a write; nothing is kept after it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, "wb")
        self.fault: OSError | None = None

    @property
    def file(self) -> Spool:
        """The file behind the wrapper that pynetdicom expects."""
        return self

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, or remember why not; returns its length either way."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while len(view) and self.fault is None:
                view = view[super().write(view) :]
        except OSError as error:
            self.fault = error
            with suppress(OSError):
                self.truncate(0)
        return size


def spool(*, delete: bool, mode: str, suffix: str) -> Spool:
    """A new file in ``tempfile.tempdir``; the arguments are those of pynetdicom's call."""
    del delete, mode
    handle, path = tempfile.mkstemp(suffix=suffix)
    os.close(handle)
    return Spool(path)
