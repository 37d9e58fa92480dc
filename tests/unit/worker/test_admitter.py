"""A file of the inbox that the disk does not give waits alone; all others are admitted."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from ra_daemon.config import Config
from ra_daemon.errors import StoreError
from ra_daemon.store import reconcile
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from ra_daemon.worker.admitter import BATCH, FIRST_PAUSE_S, Admitter
from tests.support.databases import full_disk


@dataclass
class Bench:
    """An admitter on a clock of the test's own."""

    store: ObjectStore
    engine: sa.Engine
    now: float = 0.0

    def __post_init__(self) -> None:
        self.admitter = Admitter(
            Config(),
            self.engine,
            self.store,
            JobQueue(self.engine),
            digest_of=lambda _route: "p" * 64,
            clock=lambda: self.now,
        )

    def put(self, *names: str) -> None:
        for name in names:
            (self.store.inbox / name).write_bytes(name.encode())

    def block(self, name: str) -> Path:
        """A file where the folder of this content belongs: it cannot be kept."""
        shard = hashlib.sha256(name.encode()).hexdigest()[:2]
        obstacle = self.store.root / "objects" / shard
        obstacle.write_bytes(b"")
        return obstacle

    def inbox(self) -> list[str]:
        return sorted(p.name for p in self.store.inbox.iterdir())

    def admitted(self) -> int:
        with self.engine.connect() as conn:
            return int(conn.execute(sa.text("SELECT count(*) FROM instance")).scalar_one())

    def told(self) -> list[tuple[str, int]]:
        return [(d.code, d.number) for d in reconcile.rows(self.engine, self.store)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = ObjectStore(tmp_path / "root")
    engine = open_engine(f"sqlite:///{store.root / 'ra-daemon.db'}")
    upgrade(engine)
    yield Bench(store, engine)
    engine.dispose()


def test_nothing_is_admitted_into_a_database_that_was_removed(bench: Bench) -> None:
    bench.put("a.dcm")
    path = Path(bench.engine.url.database or "")
    path.rename(path.with_name("moved.db"))
    for _ in range(2):  # also when a connection has made an empty file of that name
        with pytest.raises(StoreError, match="removed or replaced") as caught:
            bench.admitter.step()
        path.touch()
    assert "inbox/" in caught.value.hint
    assert bench.inbox() == ["a.dcm"]
    path.with_name("moved.db").replace(path)
    assert bench.admitter.step()
    assert (bench.inbox(), bench.admitted()) == ([], 1)


def test_one_file_that_cannot_be_kept_stops_no_other(bench: Bench) -> None:
    bench.put("1.dcm", "2.dcm", "3.dcm", "4.dcm", "5.dcm")
    obstacle = bench.block("1.dcm")
    assert bench.admitter.step()
    assert (bench.inbox(), bench.admitted()) == (["1.dcm"], 4)
    assert bench.told() == [("inbox_unreadable", 1)]
    obstacle.unlink()
    assert not bench.admitter.step()  # its pause is not over
    bench.now = FIRST_PAUSE_S
    assert bench.admitter.step()
    assert (bench.inbox(), bench.admitted(), bench.told()) == ([], 5, [])


def test_what_is_no_file_is_told(bench: Bench) -> None:
    (bench.store.inbox / "0.dcm").mkdir()
    (bench.store.inbox / "1.dcm").symlink_to("nothing")
    (bench.store.inbox / "2.dcm").symlink_to("/proc/self/mem")  # opens, and cannot be read
    bench.put("3.dcm")
    assert bench.admitter.step()
    assert bench.admitted() == 1
    (found,) = reconcile.rows(bench.engine, bench.store)
    assert (found.code, found.examples) == ("inbox_unreadable", ("0.dcm", "1.dcm", "2.dcm"))
    (bench.store.inbox / "0.dcm").rmdir()  # moved out of the way by hand
    assert [d.number for d in reconcile.rows(bench.engine, bench.store)] == [2]


def test_the_pause_grows_and_new_files_do_not_wait_for_it(bench: Bench) -> None:
    bench.put("1.dcm")
    obstacle = bench.block("1.dcm")
    assert not bench.admitter.step()
    bench.now = FIRST_PAUSE_S
    assert not bench.admitter.step()
    obstacle.unlink()
    bench.now += 2 * FIRST_PAUSE_S - 1
    bench.put("2.dcm")
    assert bench.admitter.step()
    assert bench.inbox() == ["1.dcm"]
    bench.now += 1
    assert bench.admitter.step()
    assert bench.inbox() == []


def test_a_disk_that_gives_no_file_is_a_fault_of_the_loop(bench: Bench) -> None:
    bench.put("1.dcm", "2.dcm")
    bench.block("1.dcm")
    bench.block("2.dcm")
    with pytest.raises(OSError, match="objects"):
        bench.admitter.step()
    assert bench.told() == [("inbox_unreadable", 2)]
    assert not bench.admitter.step()


def test_only_what_is_committed_is_told(bench: Bench) -> None:
    bench.put(*(f"{number}.dcm" for number in range(BATCH)))
    with capture_logs() as told:
        with full_disk(bench.engine):
            for _ in range(2):
                with pytest.raises(sa.exc.OperationalError, match="is full"):
                    bench.admitter.step()
        assert [line["event"] for line in told] == []
        assert bench.admitter.step()
    admitted = [line["instance"] for line in told if line["event"] == "instance.admitted"]
    assert len(admitted) == len(set(admitted)) == BATCH == bench.admitted()


def test_a_file_held_by_a_full_disk_is_told_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bench.put("1.dcm")
    monkeypatch.setattr(bench.store, "adopt", full)
    with capture_logs() as told:
        assert not bench.admitter.step()
    (held,) = (line for line in told if line["event"] == "inbox.file_held")
    assert held["code"] == "disk.full"
    assert "Free space" in held["hint"]
