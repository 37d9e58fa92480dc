"""Chromium without a screen: what a page shows, and what it complains about."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.peers import require_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page after its load: document, (rows, columns, 3) picture, lines of its console."""

    dom: str
    picture: NDArray[np.uint8]
    console: tuple[str, ...]


def show(url: str, folder: Path, *, width: int = 1200, height: int = 1600) -> Shown:
    """Open a page; only this machine can be reached from it."""
    shot = folder / "page.png"
    command = [
        str(require_tool("chromium", "chromium")), "--headless", "--no-sandbox", "--disable-gpu",
        "--hide-scrollbars", "--no-first-run", f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
        "--virtual-time-budget=3000", f"--window-size={width},{height}",
    ]  # fmt: skip
    taken = _run([*command, f"--screenshot={shot}", url])
    dumped = _run([*command, "--dump-dom", url])
    lines = [line for line in (taken.stderr + dumped.stderr).splitlines() if "CONSOLE" in line]
    with Image.open(shot) as image:
        picture = np.asarray(image.convert("RGB"))
    return Shown(dom=dumped.stdout, picture=picture, console=tuple(lines))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done
