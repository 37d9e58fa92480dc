"""The schedule: old pixels go, leftovers are told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Schedule, Store
from ra_daemon.domain import Reason, Refused
from ra_daemon.store import reconcile
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from ra_daemon.worker import housekeeping
from ra_daemon.worker.housekeeping import Housekeeping
from tests.support import verdicts


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'ra-daemon.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def keeper(engine: sa.Engine, store: ObjectStore, days: float | None) -> Housekeeping:
    schedule = Schedule(retain_pixels_days=days)
    config = Config(store=Store(root=store.root, reserve_gb=0), schedule=schedule)
    return Housekeeping(config, engine, store)


def refused_image(engine: sa.Engine, store: ObjectStore) -> Path:
    made = verdicts.admission()
    verdicts.record(engine, JobQueue(engine), made, Refused(reason=Reason.CAST))
    path = store.root / made.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"pixels")
    return path


@pytest.mark.parametrize(("days", "stays"), [(None, True), (99_999.0, True), (1.0, False)])
def test_old_pixels_go_where_the_file_says_so(
    engine: sa.Engine, store: ObjectStore, days: float | None, *, stays: bool
) -> None:
    path = refused_image(engine, store)
    keeper(engine, store, days).retain()
    assert path.exists() is stays


def test_reconciling_sweeps_and_keeps_the_comparison(engine: sa.Engine, store: ObjectStore) -> None:
    given_up = store.write_temp()
    os.utime(given_up, (0, 0))
    refused_image(engine, store).unlink()
    keeper(engine, store, None).reconcile()
    assert not given_up.exists()
    at, (found,) = reconcile.last(store.root)
    assert at
    assert (found.code, found.number) == ("rows_without_files", 1)


@dataclass(slots=True)
class Clockwork:
    """A scheduler that never runs: tells what it was given."""

    timezone: str
    running: bool = False
    chores: list[tuple[Callable[[], None], float]] = field(default_factory=list)

    def add_job(
        self, chore: Callable[[], None], trigger: str, *, seconds: float, max_instances: int
    ) -> None:
        assert (trigger, max_instances) == ("interval", 1)
        self.chores.append((chore, seconds))

    def start(self) -> None:
        self.running = True


class Noted(Housekeeping):
    """Notes which chore is called, and does none."""

    def __init__(self, config: Config, engine: sa.Engine, store: ObjectStore) -> None:
        super().__init__(config, engine, store)
        self.called: list[str] = []

    def aggregate(self) -> None:
        self.called.append("aggregate")

    def retain(self) -> None:
        self.called.append("retain")

    def reconcile(self) -> None:
        self.called.append("reconcile")


def test_each_chore_is_scheduled_as_often_as_the_file_says(
    engine: sa.Engine, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clockwork = Clockwork("UTC")
    monkeypatch.setattr(housekeeping, "BackgroundScheduler", lambda timezone: clockwork)
    schedule = Schedule(quiet_s=40, reconcile_s=1234)
    kept = Noted(Config(store=Store(root=store.root), schedule=schedule), engine, store)
    kept.start()
    assert clockwork.running
    every = {}
    for chore, seconds in clockwork.chores:
        chore()
        every[kept.called.pop()] = seconds
    assert every == {"aggregate": 10, "retain": 1234, "reconcile": 1234}
