"""Decode: a stored file becomes a ``Radiograph``, or a refusal when its pixels are not grey."""

from __future__ import annotations

import io
from pathlib import Path

from ra_daemon.dicom import read
from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.domain import Refused
from ra_daemon.errors import FileDamagedError, UnreadableError
from ra_daemon.faults import of_received
from ra_engine.types import Radiograph


def decode(
    path: Path,
    first: FrameDecoder | None = None,
    *,
    dataset_sha256: str = "",
    transfer_syntax_uid: str = "",
) -> Radiograph | Refused:
    """Decode one file.

    Args:
        first: a decoder that is asked before imagecodecs.
        dataset_sha256: of the data set that was received; the very bytes that are compared with it
            are decoded. "" where there is nothing to compare with.
        transfer_syntax_uid: that it was received in.

    Raises:
        FileDamagedError: the file is not what was received, which says nothing of the image.
        UnreadableError: no decoder could read it.
    """
    if not dataset_sha256:
        return read.decode(path, first)
    data = _received(path, dataset_sha256)
    try:
        found = read.decode(io.BytesIO(data), first)
    except UnreadableError:
        _same_syntax(data, transfer_syntax_uid)
        raise
    if isinstance(found, Refused):
        _same_syntax(data, transfer_syntax_uid)
    return found


def _received(path: Path, dataset_sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise of_received(error) from error
    if read.dataset_digest(data) != dataset_sha256:
        raise FileDamagedError("The file of the image is damaged.")
    return data


def _same_syntax(data: bytes, transfer_syntax_uid: str) -> None:
    """The digest is of the data set alone: what the file meta says of it may be damaged."""
    if read.transfer_syntax(data) != transfer_syntax_uid:
        raise FileDamagedError("The file meta of the image is damaged.")
