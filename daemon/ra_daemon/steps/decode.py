"""Decode: a stored file becomes a ``Radiograph``, or a refusal when its pixels are not grey."""

from __future__ import annotations

from pathlib import Path

from ra_daemon.dicom import read
from ra_daemon.domain import Refused
from ra_engine.types import Radiograph


def decode(path: Path) -> Radiograph | Refused:
    """Decode one file.

    Raises:
        UnreadableError: no decoder could read it.
    """
    return read.decode(path)
