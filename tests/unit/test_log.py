"""Libraries say nothing of a data set in our log, and what they say is a line like the others."""

from __future__ import annotations

import json
import subprocess
import sys

SAID = """
import logging
from ra_daemon import log
from ra_daemon.config import Log
log.configure(Log(format="json"))
import pydicom, pynetdicom, highdicom  # each may set its level anew
for name in ("pydicom", "pynetdicom.assoc", "highdicom", "other"):
    logging.getLogger(name).warning("Nameless^One")
"""


def test_libraries_quote_no_data_set() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAID], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines == [{"event": "library.warning", "logger": "other"}]
