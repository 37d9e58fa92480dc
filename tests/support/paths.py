"""Where tests find the repository and the shared radiographs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def shared_data(*parts: str) -> Path:
    """A file or folder of the shared radiographs; the test is skipped where it is absent."""
    root = Path(os.environ.get("RA_SHARED", REPOSITORY.parent / "shared")) / "data"
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no shared radiographs at {'/'.join(('data', *parts))}: set RA_SHARED")
    return path
