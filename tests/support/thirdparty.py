"""Installs the distributions of ``tests/thirdparty`` with pip, into a folder of the test; writes
the metadata of others."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
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


def instead_of_ours(folder: Path, group: str, name: str, target: str) -> None:
    """Write ra-daemon's own metadata with another object behind one of its entry points.

    No plugin may take a built-in's name; a test that needs a faulty built-in puts ``folder`` before
    the installed ra-daemon on the path.
    """
    real = distribution("ra-daemon")
    table = configparser.ConfigParser(delimiters=("=",))
    table.optionxform = str  # type: ignore[assignment, method-assign]
    table.read_string(real.read_text("entry_points.txt") or "")
    assert name in table[group], f"ra-daemon has no {name} in {group}"
    table[group][name] = target
    info = folder / f"ra_daemon-{real.version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: ra-daemon\nVersion: {real.version}\n"
    )
    with (info / "entry_points.txt").open("w") as stream:
        table.write(stream)
    importlib.invalidate_caches()


def need_hatchling() -> None:
    """Skip without the backend that builds our distributions; under CI fail."""
    if importlib.util.find_spec("hatchling") is None:
        message = "hatchling is not installed: make dev"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


def install(name: str, target: Path) -> Path:
    """Install distribution folder ``name`` into ``target``, which belongs on ``sys.path``.

    pip builds it with the backend that its ``pyproject.toml`` names; no network is needed. A child
    process sees it with ``target`` in ``PYTHONPATH``.
    """
    need_hatchling()
    source = REPOSITORY / "tests" / "thirdparty" / name
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    words += ["--disable-pip-version-check", "--target", str(target), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=120)
    importlib.invalidate_caches()  # this process may have looked into the folder before
    return target
