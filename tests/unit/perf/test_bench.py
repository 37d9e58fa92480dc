"""``make bench`` runs and fills its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

ROWS = (
    "ratio ra-daemon / storescp",
    "ratio node / bare engine (goal 0.90), likewise",
    "JPEG 2000: ratio node / roof (goal 0.90), likewise",
    "JPEG 2000: the same, ratio node / roof (goal 0.90), likewise",
    "peak resident memory, scorer process (goal 1200)",
    "from C-STORE to the SR in the PACS",
)


@pytest.mark.nightly
@pytest.mark.peer
@pytest.mark.timeout(600)
def test_the_bench_writes_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = ["-m", "tests.perf.bench", "--images", "12", "--rounds", "1", "--out", str(page)]
    done = subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(f"| {row}" in page.read_text(encoding="utf-8") for row in ROWS)
