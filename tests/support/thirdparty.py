"""Installs the distributions of ``tests/thirdparty`` as pip would, into a folder of the test."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from tests.support.paths import REPOSITORY


def install(name: str, target: Path) -> Path:
    """Install distribution folder ``name`` into ``target``, which belongs on ``sys.path``.

    Writes the module and the ``dist-info`` that its ``pyproject.toml`` calls for; no build backend
    and no network are needed. A child process sees it with ``target`` in ``PYTHONPATH``.
    """
    source = REPOSITORY / "tests" / "thirdparty" / name
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / f"{name}.py", target)
    info = target / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return target
