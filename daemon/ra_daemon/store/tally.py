"""Counts that outlive a restart and need no database: one small file for each process that counts.

Receivers must work while the database is away, so what they turn away is counted in
``run/tally/<name>.json``; the metrics add the files up. Labels are reasons and peers, no patients.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from pathlib import Path

REFUSED = "associations_refused"
"""Associations and connections turned away, by reason."""

SEND_FAILED = "send_failures"
"""Failed attempts to send or to have committed, by destination."""


class Tally:
    """Counts of one process, by family and label; safe to share between threads."""

    def __init__(self, root: Path, name: str) -> None:
        self._path = _folder(root) / f"{name}.json"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._counts = _load(self._path)
        self._guard = threading.Lock()

    def add(self, family: str, label: str) -> None:
        """Count one; a full disk loses the figure, never the caller."""
        with self._guard, contextlib.suppress(OSError):
            self._counts[f"{family}/{label}"] += 1
            temp = self._path.with_suffix(".tmp")
            temp.write_text(json.dumps(self._counts, sort_keys=True))
            temp.replace(self._path)


def totals(root: Path, family: str) -> dict[str, int]:
    """Label -> count of a family, over all processes of this store."""
    found: Counter[str] = Counter()
    for path in sorted(_folder(root).glob("*.json")):
        found.update(_load(path))
    prefix = f"{family}/"
    return {k.removeprefix(prefix): n for k, n in sorted(found.items()) if k.startswith(prefix)}


def _folder(root: Path) -> Path:
    return root / "run" / "tally"


def _load(path: Path) -> Counter[str]:
    try:
        return Counter({str(k): int(n) for k, n in json.loads(path.read_text()).items()})
    except (OSError, ValueError, AttributeError):
        return Counter()
