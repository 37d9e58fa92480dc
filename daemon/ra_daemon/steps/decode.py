"""Decode: a stored file becomes a ``Radiograph``, or a refusal when its pixels are not grey."""

from __future__ import annotations

from pathlib import Path

from ra_daemon.dicom import read
from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.domain import Refused
from ra_engine.types import Radiograph


def decode(path: Path, first: FrameDecoder | None = None) -> Radiograph | Refused:
    """Decode one file.

    Args:
        first: a decoder that is asked before imagecodecs.

    Raises:
        UnreadableError: no decoder could read it.
    """
    return read.decode(path, first)
