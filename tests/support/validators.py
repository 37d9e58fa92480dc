"""The two judges of our objects: dciodvfy and PixelMed's DicomSRValidator."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.peers import require_tool

# A file is one run of a virtual machine: without the second compiler and the threads of a parallel
# collector it takes two fifths less of the processor.
_JAVA = (
    "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true "
    "-Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0"
)


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
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip([p.name for p in paths], pool.map(_pixelmed, paths), strict=True))


def _pixelmed(path: Path) -> list[str]:
    run = subprocess.run(
        ["DicomSRValidator", str(path)], capture_output=True, text=True, check=False,
        env={**os.environ, "JAVA_TOOL_OPTIONS": _JAVA},
    )  # fmt: skip
    text = run.stdout + run.stderr
    faults = [line for line in text.splitlines() if line.startswith("Error")]
    for sign in ("Found Root Template TID_1500", "Root Template Validation Complete"):
        if sign not in text:
            faults.append(f"missing: {sign}")
    return faults
