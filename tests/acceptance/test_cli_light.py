"""``--help`` stays light; ``python -m ra_daemon`` works; broken pipes and signals are plain."""

from __future__ import annotations

import re
import subprocess
import sys

HEAVY = "sqlalchemy|pynetdicom|pydicom|highdicom|torch|onnxruntime|numpy|scipy|cv2|fastapi|pydantic"


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ra_daemon", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(rf"\b({HEAVY})$", done.stderr, re.MULTILINE)) == set()
    assert "Score rheumatoid joint damage" in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ra_daemon", "paint"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
