"""Deterministic UIDs: the same parts give the same UID."""

from __future__ import annotations

import hashlib
import uuid


def derive_uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) from sha256 of the parts, marked as a version 5 UUID.

    At most 44 characters. The separator cannot occur in a part, so ("a", "b") and ("ab",) differ.
    """
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x50
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"
