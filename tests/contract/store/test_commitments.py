"""Contract of storage commitment: SENT becomes COMMITTED, due again, or parked with its cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.domain import CommitReport, Composed, Delivered
from ra_daemon.store import reports
from ra_daemon.store.commitments import Commitments, CommitRequest, Settled
from ra_daemon.store.events import EventBox
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission, record, scored

LOST, CONFLICT = 0x0112, 0x0119
UIDS = ("2.25.1", "2.25.2")


@pytest.fixture
def now() -> list[datetime]:
    return [datetime.now(UTC) + timedelta(seconds=5)]


@pytest.fixture
def outbox(engine: sa.Engine, queue: JobQueue, objects: ObjectStore, now: list[datetime]) -> Outbox:
    """Two objects that PACS took."""
    record(engine, queue, admission(), scored())
    (task,) = reports.due_reports(engine, objects, 9)
    made = [
        Composed(kind=k, sop_class_uid="1.2", sop_instance_uid=u, path=f"o/{u}", sha256="0" * 64)
        for k, u in zip(("sr", "capture"), UIDS, strict=True)
    ]
    reports.finish_report(engine, task.report_id, made, {"PACS": True})
    outbox = Outbox(engine, clock=lambda _conn: now[0])
    send_due(outbox)
    return outbox


@pytest.fixture
def commitments(engine: sa.Engine, outbox: Outbox, now: list[datetime]) -> Commitments:
    return Commitments(engine, clock=lambda _conn: now[0])


def send_due(outbox: Outbox) -> list[str]:
    items = outbox.claim_due(9)
    for item in items:
        assert outbox.settle(item, Delivered(status=0))
    return [i.sop_instance_uid for i in items]


def begun(commitments: Commitments) -> CommitRequest:
    request = commitments.begin("PACS", 9)
    assert request is not None
    return request


def told(
    request: CommitRequest, *committed: str, lost: dict[str, int] | None = None
) -> CommitReport:
    return CommitReport(
        transaction_uid=request.transaction_uid,
        ae_title="PACS",
        committed=committed,
        failed=tuple((lost or {}).items()),
    )


def parked_causes(engine: sa.Engine) -> list[str]:
    with engine.connect() as conn:
        query = "SELECT cause FROM v1_deliveries WHERE state = 'parked' ORDER BY delivery_id"
        return list(conn.execute(sa.text(query)).scalars())


def test_sent_becomes_committed_once(commitments: Commitments, outbox: Outbox) -> None:
    assert commitments.begin("OTHER", 9) is None
    request = begun(commitments)
    assert [uid for _, uid in request.references] == list(UIDS)
    assert commitments.begin("PACS", 9) is None  # one open question for each object
    assert commitments.settle(told(request, *UIDS), ["PACS"], 3) == Settled(committed=2)
    assert outbox.counts()["committed"] == 2
    assert commitments.settle(told(request, *UIDS), ["PACS"], 3) == Settled()
    assert commitments.begin("PACS", 9) is None


def test_only_who_was_asked_may_answer(commitments: Commitments, outbox: Outbox) -> None:
    request = begun(commitments)
    assert commitments.settle(told(request, *UIDS), ["OTHER"], 3) == Settled()
    stranger = CommitReport(transaction_uid="2.25.9", ae_title="PACS", committed=UIDS)
    assert commitments.settle(stranger, ["PACS"], 3) == Settled()
    assert commitments.settle(told(request, "2.25.77"), ["PACS"], 3) == Settled()
    assert outbox.counts()["sent"] == 2


def test_what_the_peer_lost_is_sent_again_and_asked_again(
    commitments: Commitments, outbox: Outbox
) -> None:
    request = begun(commitments)
    answer = told(request, UIDS[0], lost={UIDS[1]: LOST})
    assert commitments.settle(answer, ["PACS"], 3) == Settled(committed=1, resent=1)
    assert commitments.settle(answer, ["PACS"], 3) == Settled()
    assert send_due(outbox) == [UIDS[1]]
    again = begun(commitments)
    assert [uid for _, uid in again.references] == [UIDS[1]]
    assert commitments.settle(told(again, UIDS[1]), ["PACS"], 3) == Settled(committed=1)


def test_what_is_lost_again_and_again_is_parked(
    commitments: Commitments, outbox: Outbox, engine: sa.Engine
) -> None:
    for _ in range(2):
        request = begun(commitments)
        commitments.settle(told(request, UIDS[0], lost={UIDS[1]: LOST}), ["PACS"], 2)
        send_due(outbox)
    assert parked_causes(engine) == ["not committed: 0x0112"]
    with engine.begin() as conn:
        assert outbox.retry_parked(conn) == 1  # a person mended the peer: all begins anew
    assert send_due(outbox) == [UIDS[1]]
    request = begun(commitments)
    assert commitments.settle(told(request, lost={UIDS[1]: LOST}), ["PACS"], 2).resent == 1


def test_what_a_resend_cannot_cure_is_parked_at_once(
    commitments: Commitments, engine: sa.Engine
) -> None:
    request = begun(commitments)
    answer = told(request, UIDS[0], lost={UIDS[1]: CONFLICT})
    assert commitments.settle(answer, ["PACS"], 9) == Settled(committed=1, parked=1)
    assert parked_causes(engine) == ["not committed: 0x0119"]


def test_silence_is_asked_again_and_parked_in_the_end(
    commitments: Commitments, outbox: Outbox, engine: sa.Engine, now: list[datetime]
) -> None:
    first = begun(commitments)
    for _ in range(2):
        now[0] += timedelta(seconds=59)
        assert commitments.lapse("PACS", 60) == 0
        now[0] += timedelta(seconds=2)
        assert commitments.lapse("OTHER", 60) == 0
        assert commitments.lapse("PACS", 60) == 2
        if commitments.park_hopeless("PACS", 2):
            break
        assert begun(commitments).transaction_uid != first.transaction_uid
    assert parked_causes(engine) == ["not committed: no answer"] * 2
    # A late yes is still a yes.
    assert commitments.settle(told(first, *UIDS), ["PACS"], 2).committed == 2
    assert outbox.counts()["committed"] == 2


def test_a_request_that_never_arrived_is_made_again_later(
    commitments: Commitments, now: list[datetime]
) -> None:
    commitments.withdraw(begun(commitments), 30)
    assert commitments.begin("PACS", 9) is None
    now[0] += timedelta(seconds=31)
    commitments.refuse(begun(commitments), "N-ACTION 0x0213", 30)
    assert commitments.begin("PACS", 9) is None
    assert commitments.park_hopeless("PACS", 2) == 0  # only the refused one counts
    now[0] += timedelta(seconds=31)
    assert commitments.begin("PACS", 9) is not None


def test_old_objects_are_not_asked_about(commitments: Commitments, now: list[datetime]) -> None:
    now[0] += timedelta(days=8)
    assert commitments.begin("PACS", 9) is None


def test_an_open_request_survives_a_restart(
    commitments: Commitments, engine: sa.Engine, outbox: Outbox
) -> None:
    request = begun(commitments)
    fresh = Commitments(engine)
    assert fresh.begin("PACS", 9) is None
    assert fresh.settle(told(request, *UIDS), ["PACS"], 3).committed == 2


def test_reports_wait_in_files(tmp_path: Path) -> None:
    box = EventBox(ObjectStore(tmp_path))
    report = CommitReport(
        transaction_uid="2.25.5", ae_title="PACS", committed=("1.2",), failed=(("1.3", LOST),)
    )
    box.put(report)
    (tmp_path / "events" / "broken.json").write_text("{")
    waiting = EventBox(ObjectStore(tmp_path)).waiting()
    assert sorted((r for _, r in waiting), key=str) == [report, None]
    for path, _ in waiting:
        box.drop(path)
    assert box.waiting() == []
    assert list((tmp_path / "tmp").iterdir()) == []
