"""Contract of twins in the database: found by study, and never two scores, also in a race."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Claim, Lane, Reason, Refused, not_selected
from ra_daemon.store import instances, results
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.twins import scored_twin, twins
from tests.support.verdicts import ALL_LANES, admission, record, scored


def queued(engine: sa.Engine, queue: JobQueue, *uids: str, pixels: str = "same") -> list[Claim]:
    """Claims of images with the same pixels in one study."""
    with engine.begin() as conn:
        for uid in uids:
            made = admission(uid, pixels=pixels, rows=900, columns=700)
            instance_id = instances.admit(conn, made, route="all").instance_id
            queue.enqueue(conn, instance_id, "p" * 64, Lane.NORMAL, "all")
    claims = queue.claim("w", len(uids), 60.0, ALL_LANES, None)
    return sorted(claims, key=lambda c: c.job_id)


def settle(engine: sa.Engine, queue: JobQueue, claim: Claim) -> str | None:
    """Record a score as the record step does; the twin that forbade it, if any."""

    def veto(conn: sa.Connection) -> Refused | None:
        uid = scored_twin(conn, claim)
        return None if uid is None else not_selected(uid)

    written = results.record(engine, queue, claim, scored(), pipeline_digest="p" * 64, veto=veto)
    if isinstance(written, Refused):
        assert written.reason is Reason.NOT_SELECTED
        return written.detail
    return None


def test_twins_are_found_best_first(engine: sa.Engine, queue: JobQueue) -> None:
    first, second, third = queued(engine, queue, "1.2.1", "1.2.2", "1.2.3")
    with engine.connect() as conn:
        found = twins(conn, [first, second, third])
    assert [t.header.sop_instance_uid for t in found[second.job_id]] == ["1.2.1", "1.2.3"]
    assert [(t.better, t.scored, t.lane) for t in found[second.job_id]] == [
        (True, False, Lane.NORMAL),
        (False, False, Lane.NORMAL),
    ]
    assert found[first.job_id][0].better is False


def test_other_pixels_and_other_studies_are_no_twins(engine: sa.Engine, queue: JobQueue) -> None:
    (one,) = queued(engine, queue, "1.2.1")
    (other,) = queued(engine, queue, "1.2.2", pixels="other")
    record(engine, queue, admission("1.2.3", pixels="same", study_instance_uid="9"), scored())
    with engine.connect() as conn:
        assert twins(conn, [one, other]) == {}
        assert scored_twin(conn, one) is None


def test_the_second_score_of_an_exposure_is_vetoed(engine: sa.Engine, queue: JobQueue) -> None:
    worse, better = queued(engine, queue, "1.2.9", "1.2.1")
    assert settle(engine, queue, worse) is None  # it was first: its answer stands
    assert settle(engine, queue, better) == "SOP instance 1.2.9."
    with engine.connect() as conn:
        uids = conn.execute(sa.text("SELECT DISTINCT sop_instance_uid FROM v1_results"))
        assert list(uids.scalars()) == ["1.2.9"]
        refusal = conn.execute(sa.text("SELECT reason_code, reason FROM v1_refusals")).one()
    assert refusal.reason_code == "not_selected"
    assert "1.2.9" in refusal.reason
    assert queue.counts()["refused"] == 1


@pytest.mark.parametrize("attempt", range(5))
def test_two_workers_that_race_give_one_score(
    engine: sa.Engine, queue: JobQueue, attempt: int
) -> None:
    claims = queued(engine, queue, *(f"1.2.{n}" for n in range(4)))
    gate = threading.Barrier(len(claims))
    told: list[str | None] = []

    def work(claim: Claim) -> None:
        gate.wait()
        told.append(settle(engine, queue, claim))

    threads = [threading.Thread(target=work, args=(c,)) for c in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(told) == len(claims)
    assert told.count(None) == 1
    assert len(set(told)) == 2


def test_a_job_that_waits_is_not_charged(engine: sa.Engine, queue: JobQueue) -> None:
    (claim,) = queued(engine, queue, "1.2.1")
    assert queue.release([claim], 60.0) == 1
    assert queue.claim("w", 1, 60.0, ALL_LANES, None) == []
    assert queue.release([claim]) == 0
