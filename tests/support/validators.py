"""The two judges of our objects: dciodvfy and PixelMed's DicomSRValidator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.peers import require_tool


def dciodvfy_errors(path: Path) -> list[str]:
    """Lines of dciodvfy that begin with Error; its exit code says nothing."""
    require_tool("dciodvfy", "dicom3tools")
    run = subprocess.run(
        ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
    )
    lines = (run.stdout + run.stderr).splitlines()
    assert lines, "dciodvfy said nothing: it did not run"
    return [line for line in lines if line.startswith("Error")]


def pixelmed_errors(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Faults of each report by file name; a validation that did not finish is one."""
    require_tool("DicomSRValidator", "pixelmed-apps")
    return {path.name: _pixelmed(path) for path in paths}


@cache
def _validator() -> subprocess.Popen[str]:
    """One for the life of this process: it ends when its input does."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.pixelmed"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def _pixelmed(path: Path) -> list[str]:
    asked, told = _validator().stdin, _validator().stdout
    assert asked is not None
    assert told is not None
    asked.write(f"{path.resolve()}\n")
    asked.flush()
    answer = told.readline()
    assert answer, "PixelMed's validator ended before it answered"
    text = json.loads(answer)
    faults = [line for line in text.splitlines() if line.startswith("Error")]
    for sign in ("Found Root Template TID_1500", "Root Template Validation Complete"):
        if sign not in text:
            faults.append(f"missing: {sign}")
    return faults
