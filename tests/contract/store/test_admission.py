"""A file that the database will not take holds nothing back: it is recorded as unreadable."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Route
from ra_daemon.steps.admit import admit_all
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
