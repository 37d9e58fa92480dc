"""Contract of reports and the outbox: composable after a crash, sent once, told apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from ra_daemon.config import Config
from ra_daemon.domain import Composed, Delivered, Parked, Postponed
from ra_daemon.errors import FindingsDamagedError, StoreError
from ra_daemon.steps.deliver import retry_delay_s
from ra_daemon.store import audit, findings, reports, results
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox, Which
from ra_daemon.store.queue import JobQueue
from ra_engine.types import Heatmap
from tests.support.verdicts import admission, full, record, scored

TAKES: Mapping[str, bool] = {"PACS": True}


def sr(uid: str = "2.25.1", kind: str = "sr") -> Composed:
    return Composed(
        kind=kind, sop_class_uid="1.2", sop_instance_uid=uid, path=f"objects/{uid}", sha256="0" * 64
    )


def composed(
    engine: sa.Engine,
    queue: JobQueue,
    objects: ObjectStore,
    *,
    allowed: Mapping[str, bool] = TAKES,
    deliver: results.Deliver = "send",
) -> None:
    record(engine, queue, admission(), scored(), deliver=deliver)
    (task,) = reports.due_reports(engine, objects, 9)
    reports.finish_report(engine, task.report_id, [sr(), sr("2.25.2", "capture")], allowed)


def test_a_report_is_composable_from_durable_state_alone(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    verdict = full()
    data = findings.dump_heatmaps(verdict)
    assert data is not None
    path, _ = objects.put_bytes(data, ".npz")
    record(engine, queue, admission(), verdict, heatmap_path=path, destinations=["A", "B"])
    (task,) = reports.due_reports(engine, ObjectStore(objects.root), 9)
    assert task.scored is not None
    assert task.scored.findings[:-1] == verdict.findings[:-1]
    heat, original = task.scored.findings[-1], verdict.findings[-1]
    assert isinstance(heat, Heatmap)
    assert isinstance(original, Heatmap)
    np.testing.assert_array_equal(heat.cam, original.cam)
    np.testing.assert_array_equal(task.scored.views[1].landmarks, verdict.views[1].landmarks)
    assert task.paths == (admission().path,)
    assert task.header == admission().header
    assert (task.destinations, task.demonstration) == (("A", "B"), True)
    assert task.predecessor is None


def test_a_report_whose_heatmaps_are_gone_is_put_aside(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), full(), heatmap_path="objects/00/none.npz")
    record(engine, queue, admission("1.9"), scored())
    assert len(reports.due_reports(engine, objects, 9)) == 1
    with engine.begin() as conn:
        assert reports.retry_reports(conn, "other") == 0
        assert reports.retry_reports(conn, FindingsDamagedError.code) == 1


@pytest.mark.parametrize("at", [0, 20, -40, None])
def test_damaged_heatmaps_hold_up_no_other_report(
    engine: sa.Engine,
    queue: JobQueue,
    objects: ObjectStore,
    at: int | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = findings.dump_heatmaps(full())
    assert data is not None
    path, _ = objects.put_bytes(data, ".npz")
    bad = b"" if at is None else data[:at] + bytes(8) + data[at:][8:]
    objects.open_path(path).write_bytes(bad)
    record(engine, queue, admission(), full(), heatmap_path=path)
    record(engine, queue, admission("1.9"), scored())
    assert [t.kind for t in reports.due_reports(engine, objects, 9)] == ["scored"]
    told = capsys.readouterr()
    assert FindingsDamagedError.code in told.out + told.err
    assert "sent again" in told.out + told.err
    with engine.begin() as conn:
        assert reports.retry_reports(conn, FindingsDamagedError.code) == 1


def test_finishing_twice_changes_nothing(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    (task,) = reports.due_reports(engine, objects, 9)
    for _ in range(2):
        reports.finish_report(engine, task.report_id, [sr()], TAKES)
    assert Outbox(engine).counts()["pending"] == 1
    assert reports.due_reports(engine, objects, 9) == []
    with engine.connect() as conn:
        uid = conn.execute(sa.text("SELECT sr_instance_uid FROM v1_results")).scalar_one()
    assert uid == "2.25.1"


def test_finishing_an_unknown_report_is_an_error(engine: sa.Engine) -> None:
    with pytest.raises(StoreError):
        reports.finish_report(engine, 99, [], {})


def test_a_failed_report_waits_for_a_person(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    (task,) = reports.due_reports(engine, objects, 9)
    reports.fail_report(engine, task.report_id, "report.failed")
    assert reports.due_reports(engine, objects, 9) == []
    with engine.begin() as conn:
        assert reports.retry_reports(conn) == 1
    assert len(reports.due_reports(engine, objects, 9)) == 1


def test_a_new_report_names_its_predecessor(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    record(engine, queue, admission(), scored(value=50), pipeline="q" * 64)
    (task,) = reports.due_reports(engine, objects, 9)
    assert task.predecessor is not None
    assert task.predecessor.sop_instance_uid == "2.25.1"


def test_demonstration_results_park_where_they_are_not_allowed(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored(), destinations=["HERE", "THERE", "UNNAMED"])
    (task,) = reports.due_reports(engine, objects, 9)
    reports.finish_report(engine, task.report_id, [sr()], {"HERE": True, "THERE": False})
    outbox = Outbox(engine)
    assert [d.destination for d in outbox.claim_due(9)] == ["HERE"]
    with engine.connect() as conn:
        parked = conn.execute(
            sa.text(
                "SELECT destination, cause FROM v1_deliveries WHERE state = 'parked' "
                "ORDER BY destination"
            )
        )
        assert [tuple(r) for r in parked] == [
            ("THERE", "demonstration_not_allowed"),
            ("UNNAMED", "demonstration_not_allowed"),
        ]
    forbidden = Which(cause="demonstration_not_allowed")
    with engine.begin() as conn:
        assert outbox.retry_parked(conn) == 0  # a person must name this cause
        assert outbox.retry_parked(conn, forbidden) == 0  # no peer takes them
    assert outbox.parked("demonstration_not_allowed") == {"THERE": 1, "UNNAMED": 1}
    with engine.begin() as conn:
        assert outbox.retry_parked(conn, forbidden, takes=["THERE"]) == 1
    assert [d.destination for d in outbox.claim_due(9)] == ["THERE"]


def test_permission_for_demonstrations_may_run_out(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    outbox = Outbox(engine)
    assert outbox.park_demonstrations("OTHER") == 0
    assert outbox.park_demonstrations("PACS") == 2
    assert outbox.claim_due(9) == []


def test_a_delivery_goes_from_due_to_committed(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    outbox = Outbox(engine, objects.root)
    first, second = outbox.claim_due(9)
    assert outbox.claim_due(9) == []
    assert first.object_path == objects.root / "objects/2.25.1"
    assert (first.attempt, first.was_sending, first.demonstration) == (1, False, True)
    assert outbox.settle(first, Delivered(status=0))
    assert outbox.settle(second, Delivered(status=0xB000))
    assert outbox.oldest_uncommitted_age() is not None
    assert outbox.commit(["2.25.1"], "OTHER") == 0
    assert outbox.commit(["2.25.1"]) == 1
    counts = outbox.counts()
    assert (counts["sent"], counts["committed"]) == (1, 1)
    assert not outbox.settle(first, Parked(cause="late"))


def test_a_postponed_delivery_comes_back_when_its_time_has_come(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    now = [datetime.now(UTC) + timedelta(seconds=5)]
    outbox = Outbox(engine, clock=lambda _conn: now[0])
    for item in outbox.claim_due(9):
        assert outbox.settle(item, Postponed(cause="refused"), 30)
    assert outbox.claim_due(9) == []
    now[0] += timedelta(seconds=30)
    assert [d.attempt for d in outbox.claim_due(9)] == [2, 2]


def test_a_peer_that_is_down_for_a_day_gets_everything_then(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    config = Config()
    now = [datetime.now(UTC) + timedelta(seconds=5)]
    end = now[0] + timedelta(days=1)
    outbox = Outbox(engine, clock=lambda _conn: now[0])
    waits: list[float] = []
    while now[0] < end:
        due = outbox.claim_due(9)
        assert len(due) == 2, "nothing was given up"
        waits.append(retry_delay_s(config, due[0].attempt))
        for item in due:
            assert outbox.settle(item, Postponed(cause="cannot be reached"), waits[-1])
        now[0] += timedelta(seconds=waits[-1])
    assert waits == sorted(waits)
    assert waits[-1] == config.delivery.max_retry_s  # it is asked often enough to the end
    last = outbox.claim_due(9)
    assert {d.sop_instance_uid for d in last} == {"2.25.1", "2.25.2"}
    assert all(outbox.settle(d, Delivered(status=0)) for d in last)
    assert (outbox.counts()["sent"], outbox.claim_due(9)) == (2, [])


def test_a_crash_in_mid_send_is_told(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    assert len(Outbox(engine, owner="a").claim_due(9)) == 2
    assert Outbox(engine, owner="b").recover() == 0  # another node's sends go on
    again = Outbox(engine, owner="a")
    assert again.recover("OTHER") == 0  # what goes to another peer goes on
    assert again.recover("PACS") == 2
    assert again.recover() == 0
    items = again.claim_due(9)
    assert [d.was_sending for d in items] == [True, True]
    again.settle(items[0], Postponed(cause="refused"), 0)
    assert [d.was_sending for d in again.claim_due(9)] == [True]


def test_what_a_lost_node_was_sending_is_taken_over(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    now = [datetime.now(UTC) + timedelta(seconds=5)]
    lost = Outbox(engine, owner="a", lease_s=60, clock=lambda _conn: now[0])
    left = lost.claim_due(1)
    other = Outbox(engine, owner="b", clock=lambda _conn: now[0])
    assert len(other.claim_due(9)) == 1
    now[0] += timedelta(seconds=61)
    (taken,) = other.claim_due(9)
    assert taken.was_sending
    assert not lost.settle(left[0], Delivered(status=0))


def test_held_deliveries_wait_for_their_release(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects, deliver="hold")
    outbox = Outbox(engine)
    assert outbox.claim_due(9) == []
    with engine.begin() as conn:
        assert outbox.release_held(conn, destination="OTHER") == 0
        assert outbox.release_held(conn, study_instance_uids=["9"]) == 0
        assert outbox.release_held(conn, destination="PACS") == 2
    assert len(outbox.claim_due(9, ["PACS"])) == 2


def test_a_destination_can_be_left_out(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    assert Outbox(engine, Path()).claim_due(9, ["OTHER"]) == []


def test_parked_deliveries_keep_their_cause(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    outbox = Outbox(engine)
    for item in outbox.claim_due(9):
        outbox.settle(item, Parked(cause="0122"))
    with engine.begin() as conn:
        assert outbox.retry_parked(conn, Which(cause="other")) == 0
        assert outbox.retry_parked(conn, Which(cause="0122")) == 2
    assert [d.attempt for d in outbox.claim_due(9)] == [1, 1]


def test_what_is_given_up_never_leaves(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    outbox = Outbox(engine)
    (sending,) = outbox.claim_due(1)
    assert outbox.give_up(Which(destination="OTHER"), who="me", why="x") == 0
    assert outbox.give_up(Which(destination="PACS"), who="me", why="PACS is gone") == 1
    assert outbox.settle(sending, Postponed(cause="refused"), 0)
    assert [d.delivery_id for d in outbox.claim_due(9)] == [sending.delivery_id]
    with engine.connect() as conn:
        (row,) = audit.entries(conn)
        audit.verify(conn)
    assert (row.who, row.what, row.why) == ("me", "deliveries.give_up", "PACS is gone")


def test_the_same_uid_is_one_object_and_one_delivery(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    composed(engine, queue, objects)
    record(engine, queue, admission("1.9"), scored())
    (task,) = reports.due_reports(engine, objects, 9)
    reports.finish_report(engine, task.report_id, [sr()], TAKES)
    assert Outbox(engine).counts()["pending"] == 2
