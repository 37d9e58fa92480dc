"""A file that the database will not take holds nothing back: it is recorded as unreadable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from ra_daemon.config import Config, Route
from ra_daemon.steps.admit import admit_all, digest_file
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission

CONFIG = Config(route=(Route(name="all"),))


@pytest.mark.parametrize("text", ["P\0Q", "\ud800", "long " * 2000])
def test_one_bad_header_in_a_batch(engine: sa.Engine, queue: JobQueue, text: str) -> None:
    bad = admission("1.2.2")
    assert bad.header is not None
    bad = replace(bad, header=replace(bad.header, patient_id=text))
    batch = [admission("1.2.1"), bad, admission("1.2.3")]
    for _ in range(2):  # a crash before the inbox was left repeats the batch
        admit_all(engine, batch, config=CONFIG, queue=queue, digest_of=lambda _route: "p" * 64)
    with engine.connect() as conn:
        known = conn.execute(sa.text("SELECT count(*) FROM v1_instances")).scalar_one()
        jobs = set(conn.execute(sa.text("SELECT sop_instance_uid FROM v1_jobs")).scalars())
        refused = conn.execute(sa.text("SELECT count(*) FROM v1_refusals")).scalar_one()
    assert known == 3
    assert {"1.2.1", "1.2.3"} <= jobs
    assert len(jobs) + refused == 3


class Sender:
    """Sends one image again and again, each time with another file meta, as nodes do."""

    def __init__(self, engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
        self.engine, self.queue, self.objects = engine, queue, objects
        self.sent = 0

    def send(self) -> tuple[Path, list[str]]:
        """The file of the image, and what the log says of its mending."""
        self.sent += 1
        meta = f"meta {self.sent}".encode()
        length = b"\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little")
        came = self.objects.inbox / f"{self.sent}.dcm"
        came.write_bytes(bytes(128) + b"DICM" + length + meta + b"data set")
        made = digest_file(came, self.objects)
        with capture_logs() as told:
            admit_all(
                self.engine, [made], config=CONFIG, queue=self.queue, digest_of=lambda _: "p" * 64
            )
        self.objects.leave_inbox(came)
        mended = [line["was"] for line in told if line["event"] == "instance.file_mended"]
        return self.objects.open_path(made.path), mended


def test_a_lost_or_damaged_file_is_mended_by_sending_it_again(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    sender = Sender(engine, queue, objects)
    path, mended = sender.send()
    first = path.read_bytes()
    assert mended == []
    assert sender.send() == (path, [])
    assert path.read_bytes() == first, "an intact file stays as it is"
    path.write_bytes(first[:-1] + b"X")
    assert sender.send() == (path, ["damaged"])
    assert path.read_bytes().endswith(b"meta 3data set")
    path.unlink()
    assert sender.send() == (path, ["missing"])
    assert path.read_bytes().endswith(b"meta 4data set")
    with engine.begin() as conn:
        assert conn.execute(sa.text("SELECT count(*) FROM instance")).scalar_one() == 1


def test_a_purged_file_that_comes_again_was_not_lost(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    sender = Sender(engine, queue, objects)
    path, _ = sender.send()
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE instance SET purged_at = received_at, purge_reason = 'age'"))
    path.unlink()
    assert sender.send() == (path, [])
