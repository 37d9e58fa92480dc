"""A training recipe: the TOML file that states the whole budget."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, Any]:
    """Tables of a recipe by name."""
    with path.open("rb") as stream:
        return tomllib.load(stream)
