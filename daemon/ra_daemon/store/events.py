"""Storage commitment reports that wait to be read: files, so that a receiver needs no database."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict
from pathlib import Path

from ra_daemon.domain import CommitReport
from ra_daemon.store.objects import ObjectStore


class EventBox:
    """The folder ``events/`` of a store."""

    def __init__(self, store: ObjectStore) -> None:
        self._tmp = store.tmp
        self._folder = store.root / "events"
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def put(self, report: CommitReport) -> None:
        """Make a report durable; only then may it be acknowledged.

        Raises:
            OSError: it could not be written.
        """
        name = f"{uuid.uuid4().hex}.json"
        temp = self._tmp / name
        try:
            temp.write_text(json.dumps(asdict(report)))
            _sync(temp)
            temp.replace(self._folder / name)
            _sync(self._folder)
        finally:
            temp.unlink(missing_ok=True)

    def waiting(self) -> list[tuple[Path, CommitReport | None]]:
        """Reports to be settled, None for a file that cannot be read."""
        return [(path, _load(path)) for path in sorted(self._folder.glob("*.json"))]

    def drop(self, path: Path) -> None:
        """Remove a report whose outcome is in the database."""
        path.unlink(missing_ok=True)


def _load(path: Path) -> CommitReport | None:
    try:
        held = json.loads(path.read_text())
        return CommitReport(
            transaction_uid=str(held["transaction_uid"]),
            ae_title=str(held["ae_title"]),
            committed=tuple(str(u) for u in held["committed"]),
            failed=tuple((str(u), int(code)) for u, code in held["failed"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
