"""Files that would exhaust their reader: told by a scan of bytes, before anything is parsed.

A parser builds an object for every sequence item and inflates a deflated data set at once, so a few
megabytes can cost minutes or gigabytes. Nothing that a radiograph needs comes near these limits.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from ra_daemon.errors import UnreadableError

MAX_ITEMS = 20_000
MAX_INFLATED = 1 << 29
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
_CHUNK = 1 << 20
_META = 1 << 16


def check(path: Path) -> None:
    """Pass a file that is safe to parse.

    Raises:
        UnreadableError: too many sequence items, or too big once inflated.
    """
    items = inflated = 0
    tail = b""
    for chunk in _content(path):
        inflated += len(chunk)
        if inflated > MAX_INFLATED and inflated > path.stat().st_size:
            raise UnreadableError("The data set is too big once inflated.")
        window = tail + chunk
        items += sum(window.count(tag) for tag in _ITEMS)
        if items > MAX_ITEMS:
            raise UnreadableError(f"The data set has more than {MAX_ITEMS} sequence items.")
        tail = window[-3:]


def _content(path: Path) -> Iterator[bytes]:
    """The bytes as a parser would see them: inflated where the file meta says deflated."""
    with path.open("rb") as stream:
        head = stream.read(_META)
        start = _meta_end(head)
        if start is None or _DEFLATED not in head[:start]:
            yield head
            while chunk := stream.read(_CHUNK):
                yield chunk
            return
        stream.seek(start)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            while chunk := inflater.unconsumed_tail or stream.read(_CHUNK):
                yield inflater.decompress(chunk, _CHUNK)
                if inflater.eof:
                    return
        except zlib.error:
            return  # the parser will say so


def _meta_end(head: bytes) -> int | None:
    """Where the data set begins, by the group length of the file meta; None without one."""
    if head[128:132] != b"DICM":
        return None
    return 144 + int.from_bytes(head[140:144], "little")
