"""The reference pages are those that the code gives, and name everything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ra_daemon import cli
from ra_daemon.domain import Reason
from ra_engine import registry
from tests.support.paths import REPOSITORY

DOCS = REPOSITORY / "docs"


def test_the_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}; run python docs/generate.py"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("commands.md", [f"## ra-daemon {name}" for name in cli.COMMANDS]),
        ("errors.md", [f"`{reason.value}`" for reason in Reason]),
        ("errors.md", [f"`{g}`" for g in (registry.SCORERS, registry.BACKENDS, registry.BUNDLES)]),
    ],
)
def test_everything_has_its_place(page: str, names: list[str]) -> None:
    text = (DOCS / page).read_text()
    assert [n for n in names if n not in text] == []
