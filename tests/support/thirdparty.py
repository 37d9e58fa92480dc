"""Installs the distributions of ``tests/thirdparty`` with pip, into a folder of the test."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY


def install(name: str, target: Path) -> Path:
    """Install distribution folder ``name`` into ``target``, which belongs on ``sys.path``.

    pip builds it with the backend that its ``pyproject.toml`` names; no network is needed. A child
    process sees it with ``target`` in ``PYTHONPATH``.
    """
    if importlib.util.find_spec("hatchling") is None:
        message = "hatchling is not installed: make dev"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    source = REPOSITORY / "tests" / "thirdparty" / name
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    words += ["--disable-pip-version-check", "--target", str(target), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=120)
    importlib.invalidate_caches()  # this process may have looked into the folder before
    return target
