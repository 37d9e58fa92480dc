"""Installs the distributions of ``tests/thirdparty`` with pip, into a folder of the test; writes
the metadata of others."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY


def entry_point(
    folder: Path, group: str, name: str, target: str, *, dist: str = "extra", version: str = "1.0"
) -> None:
    """Write what pip would of a distribution with one entry point; its module is the caller's."""
    for old in folder.glob(f"{dist}-*.dist-info"):
        shutil.rmtree(old)
    info = folder / f"{dist}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    importlib.invalidate_caches()


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
