"""A child process ends with its parent, whenever that dies."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ra_daemon.worker.child import watch_parent
from tests.support.paths import REPOSITORY
from tests.support.processes import wait_until

LATE = """
import multiprocessing, os, sys
from pathlib import Path
from tests.unit.worker.test_child import late
if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=late, args=(sys.argv[1],)).start()
    os._exit(0)
"""


def late(told: str) -> None:
    """A child whose parent is dead before it begins to watch."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    while os.getppid() == parent.pid:
        time.sleep(0.05)
    Path(told).write_text(str(os.getpid()))
    watch_parent()
    time.sleep(600)


def test_a_child_that_comes_after_its_parent_s_death_ends_too(tmp_path: Path) -> None:
    script, told = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(LATE)
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    subprocess.run(
        [sys.executable, str(script), str(told)], check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    wait_until(lambda: told.is_file() and told.read_text(), 60)
    wait_until(lambda: not psutil.pid_exists(int(told.read_text())), 30)
