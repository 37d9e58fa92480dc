"""Which files of the inbox could not be taken in: kept for status, doctor and metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ra_daemon.store.objects import ObjectStore

_FILE = "held.json"


def save(objects: ObjectStore, held: Mapping[str, str]) -> None:
    """Keep name -> error; the names are of received files, the errors the system's own."""
    target = objects.root / "run" / _FILE
    scratch = target.with_suffix(".new")
    scratch.write_text(json.dumps(dict(held)))
    scratch.replace(target)


def load(objects: ObjectStore) -> dict[str, str]:
    """What ``save`` kept, without files that have left the inbox since."""
    try:
        kept = json.loads((objects.root / "run" / _FILE).read_text())
        return {str(n): str(e) for n, e in kept.items() if _there(objects.inbox / str(n))}
    except (OSError, ValueError, AttributeError):
        return {}


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
