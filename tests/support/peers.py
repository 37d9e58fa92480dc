"""Real peers that tests need: found, or the test says how to install them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

_EXTRA_FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin")


def find_tool(name: str) -> Path | None:
    """Path of an executable on PATH or in the folders where Debian hides servers.

    The virtual environment is left out: pynetdicom installs its own echoscu and storescu there.
    """
    own = Path(sys.executable).parent
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and Path(f) != own]
    found = shutil.which(name, path=os.pathsep.join([*folders, *_EXTRA_FOLDERS]))
    return Path(found) if found else None


def require_tool(name: str, package: str) -> Path:
    """The tool's path; without it the test fails under CI=true and is skipped elsewhere."""
    found = find_tool(name)
    if found is not None:
        return found
    message = f"{name} is not installed: sudo apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
