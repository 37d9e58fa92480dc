"""Contract of objects whose file is lost: composed again under their UIDs, then sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Composed, Delivered, DeliveryOutcome, Parked, Postponed
from ra_daemon.store import recompose, reconcile, removals, reports, retention, retract
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox, Which
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.reports import ReportTask
from tests.support.verdicts import admission, record, scored

LOST = "object file: FileNotFoundError"
TAKES = {"A": True, "B": True}


class Site:
    """A result with a report for the peers A and B, whose file is lost before A sends it."""

    def __init__(self, engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
        self.engine, self.objects = engine, objects
        self.outbox = Outbox(engine, objects.root)
        record(engine, queue, admission(), scored(), destinations=["A", "B"])
        self.finish(self.sr())
        path = self.path()
        self.held = path.read_bytes()
        path.unlink()
        self.send("A", Parked(cause=LOST))

    def sr(self, data: bytes = b"report", uid: str = "2.25.1") -> Composed:
        path, digest = self.objects.put_bytes(data, ".dcm")
        return Composed(
            kind="sr", sop_class_uid="1.88.22", sop_instance_uid=uid, path=path, sha256=digest
        )

    def due(self) -> list[ReportTask]:
        return reports.due_reports(self.engine, self.objects, 9)

    def finish(self, made: Composed) -> list[int]:
        (task,) = self.due()
        return reports.finish_reports(self.engine, {task.report_id: [made]}, TAKES)

    def path(self) -> Path:
        with self.engine.connect() as conn:
            path = str(conn.execute(sa.text("SELECT path FROM object")).scalar_one())
        return self.objects.root / path

    def send(self, peer: str, outcome: DeliveryOutcome) -> None:
        (item,) = self.outbox.claim_due(9, [peer])
        assert self.outbox.settle(item, outcome)

    def retry(self, chosen: Which = Which()) -> tuple[int, int]:  # noqa: B008 - frozen
        """Reports to compose, and deliveries that are due, as ``jobs retry`` has them."""
        lost = self.outbox.lost(chosen)
        with self.engine.begin() as conn:
            of_peers = bool(chosen.ids) or chosen.destination is not None
            again = 0 if of_peers else reports.retry_reports(conn, chosen.cause)
            again += self.outbox.compose_again(conn, lost, chosen)
            return again, self.outbox.retry_parked(conn, chosen)

    def states(self) -> dict[str, str]:
        query = sa.text("SELECT destination, state FROM delivery")
        with self.engine.connect() as conn:
            return {str(peer): str(state) for peer, state in conn.execute(query)}

    def blocks(self) -> list[str]:
        """What keeps the image's file, once its study is closed; and what doctor says of rows."""
        with self.engine.begin() as conn:
            conn.execute(sa.text("UPDATE instance SET received_at = '2020-01-01T00:00:00.000000Z'"))
        every = retention.candidates(self.engine, retention.Selection())
        told = [d.code for d in reconcile.rows(self.engine, self.objects)]
        return [*(c.block for c in every if c.block), *told]

    def stored(self, *, kept: list[Path]) -> bool:
        """Whether these are all files, now and after the next removal, and no other one is told."""
        removals.finish(self.engine, self.objects)
        there = sorted(p for p in (self.objects.root / "objects").glob("*/*"))
        for path in there:
            os.utime(path, (1, 1))
        codes = [d.code for d in reconcile.files(self.engine, self.objects)]
        return there == sorted(kept) and "files_without_rows" not in codes

    def report(self) -> tuple[str, str]:
        with self.engine.connect() as conn:
            state, cause = conn.execute(sa.text("SELECT state, cause FROM report")).one()
        return str(state), str(cause)


@pytest.fixture
def site(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> Site:
    return Site(engine, queue, objects)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_retry_composes_what_is_lost_and_then_sends_it(site: Site, *, damaged: bool) -> None:
    if damaged:
        site.path().write_bytes(b"repXrt")
    assert site.retry() == (1, 0)
    assert site.states()["A"] == "parked", "not sent, and parked again, before it is composed"
    assert site.retry() == (0, 0), "it waits"
    (task,) = site.due()
    assert task.sop_class_uid == "1.88.22"
    assert site.finish(site.sr()) == []
    assert site.states() == {"A": "pending", "B": "pending"}
    (item,) = site.outbox.claim_due(9, ["A"])
    assert (item.sop_instance_uid, item.attempt) == ("2.25.1", 1)
    assert item.object_path.read_bytes() == b"report"
    assert site.report() == ("composed", "")


def test_a_file_that_was_put_back_is_sent_as_it_is(site: Site) -> None:
    site.path().write_bytes(site.held)
    assert site.retry() == (0, 1)
    assert site.due() == []
    assert site.states()["A"] == "pending"


@pytest.mark.parametrize(
    ("chosen", "again"),
    [
        (Which(cause=LOST), 1),
        (Which(cause="other"), 0),
        (Which(destination="A"), 1),
        (Which(destination="B"), 0),
        (Which(ids=[77]), 0),
    ],
)
def test_only_what_was_chosen_is_composed(site: Site, chosen: Which, again: int) -> None:
    assert site.retry(chosen) == (again, 0)


def test_a_result_never_has_two_uids(site: Site) -> None:
    site.retry()
    assert site.finish(site.sr(b"another", uid="2.25.2")) != []
    assert site.report() == ("composed", "report_differs")
    assert site.states()["A"] == "parked"
    assert site.retry() == (1, 0), "once more, when its cause was mended"


def test_other_bytes_take_their_place_where_no_peer_holds_the_old_ones(site: Site) -> None:
    site.retry()
    assert site.finish(site.sr(b"a later version")) == []
    (item,) = site.outbox.claim_due(9, ["A"])
    assert item.object_path.read_bytes() == b"a later version"
    assert site.path() == item.object_path


def test_no_peer_gets_other_bytes_under_a_uid_that_another_holds(site: Site) -> None:
    site.send("B", Delivered(status=0))
    site.retry()
    assert site.finish(site.sr(b"a later version")) != []
    assert site.report() == ("composed", "report_differs")
    assert site.states() == {"A": "parked", "B": "sent"}
    site.retry()
    assert site.finish(site.sr()) == []
    assert site.states() == {"A": "pending", "B": "sent"}


def fail(site: Site) -> None:
    """The image is gone as well."""
    (task,) = site.due()
    reports.fail_report(site.engine, task.report_id, "FileNotFoundError")


def differ(site: Site) -> None:
    """Another version composes it, and B has the old bytes."""
    site.finish(site.sr(b"a later version"))


@pytest.fixture(params=[fail, differ])
def vain(site: Site, request: pytest.FixtureRequest) -> Site:
    """What A waits for cannot be composed again."""
    site.send("B", Delivered(status=0))
    assert site.retry() == (1, 0)
    request.param(site)
    assert site.report() in [("composed", "FileNotFoundError"), ("composed", "report_differs")]
    assert site.states() == {"A": "parked", "B": "sent"}
    return site


def test_what_cannot_be_composed_again_is_sent_from_a_backup(vain: Site) -> None:
    vain.path().write_bytes(vain.held)
    assert vain.retry() == (0, 1)
    assert vain.due() == []
    vain.send("A", Delivered(status=0))
    assert vain.blocks() == []


def test_what_cannot_be_composed_again_is_given_up(vain: Site) -> None:
    assert vain.blocks() == ["delivery_due", "deliveries_parked"]
    assert vain.outbox.give_up(Which(destination="A"), who="test", why="lost") == 1
    assert vain.blocks() == []
    assert vain.retry() == (0, 0)


def test_what_cannot_be_composed_again_is_tried_again_by_a_person(vain: Site) -> None:
    assert vain.due() == []
    assert vain.retry() == (1, 0)
    assert vain.finish(vain.sr()) == []
    assert vain.report() == ("composed", "")
    assert vain.states() == {"A": "pending", "B": "sent"}


def test_a_report_that_was_never_composed_fails(site: Site, queue: JobQueue) -> None:
    record(site.engine, queue, admission("1.9"), scored(), destinations=["A"])
    fail(site)
    with site.engine.connect() as conn:
        states = conn.execute(sa.text("SELECT state FROM report ORDER BY id")).scalars().all()
    assert states == ["composed", "failed"]
    assert site.retry(Which(cause="FileNotFoundError")) == (1, 0)


def test_other_bytes_wait_while_another_peer_is_sent_the_old_ones(site: Site) -> None:
    (item,) = site.outbox.claim_due(9, ["B"])
    site.retry()
    assert site.finish(site.sr(b"a later version")) != []
    assert site.outbox.settle(item, Delivered(status=0))
    assert site.states() == {"A": "parked", "B": "sent"}


@pytest.mark.parametrize("refused", [LOST, "B refused with 0x0111."])
def test_no_other_bytes_after_a_crash_in_mid_send(site: Site, refused: str) -> None:
    site.outbox.claim_due(9, ["B"])
    assert site.outbox.recover("B") == 1
    site.send("B", Parked(cause=refused))
    site.retry()
    assert site.finish(site.sr(b"a later version")) != []
    assert site.report() == ("composed", "report_differs")


def test_no_other_bytes_where_a_peer_gave_no_answer(site: Site) -> None:
    site.send("B", Postponed(cause="B gave no answer.", unanswered=True))
    site.retry()
    assert site.finish(site.sr(b"a later version")) != []
    (item,) = site.outbox.claim_due(9, ["B"])
    assert item.was_sending, "it is asked first"


def test_other_bytes_where_nothing_went_out(site: Site) -> None:
    site.send("B", Postponed(cause="B cannot be reached."))
    site.retry()
    assert site.finish(site.sr(b"a later version")) == []


def test_what_was_done_meanwhile_is_not_done_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompose, "BATCH", 1)
    found = site.outbox.lost()
    assert len(found) == 1
    assert site.outbox.give_up(Which(destination="A"), who="test", why="lost") == 1
    with site.engine.begin() as conn:
        assert site.outbox.compose_again(conn, [7, *found]) == 0
    assert site.report() == ("composed", "")


def test_what_another_peer_refused_is_sent_again_as_well(site: Site) -> None:
    site.send("B", Parked(cause="B refused with 0xA900."))
    assert site.retry() == (1, 1)
    assert site.states() == {"A": "parked", "B": "pending"}
    site.send("B", Parked(cause=LOST))  # it was faster than the composer
    assert site.finish(site.sr()) == []
    assert site.states() == {"A": "pending", "B": "pending"}


def test_a_damaged_file_goes_when_another_took_its_place(site: Site) -> None:
    site.path().write_bytes(b"repXrt")
    site.retry()
    assert site.finish(site.sr(b"a later version")) == []
    assert site.stored(kept=[site.path()])
    assert site.path().read_bytes() == b"a later version"


def test_what_differs_is_not_kept(site: Site) -> None:
    site.send("B", Delivered(status=0))
    for _ in range(2):
        site.retry()
        assert site.finish(site.sr(b"a later version")) != []
    assert site.stored(kept=[])
    site.path().write_bytes(site.held)
    assert site.stored(kept=[site.path()])


def test_a_file_that_another_row_names_stays(site: Site) -> None:
    site.path().write_bytes(b"repXrt")
    site.retry()
    old = site.path()
    with site.engine.begin() as conn:
        path = old.relative_to(site.objects.root).as_posix()
        conn.execute(sa.text("UPDATE instance SET path = :path"), {"path": path})
    assert site.finish(site.sr(b"a later version")) == []
    assert site.stored(kept=[old, site.path()])


def test_a_file_that_a_row_names_after_all_stays(site: Site) -> None:
    (item,) = site.outbox.claim_due(9, ["B"])
    site.retry()
    assert site.finish(site.sr(b"a later version")) != []
    assert site.outbox.settle(item, Parked(cause="B refused with 0xA900."))
    site.retry()
    assert site.finish(site.sr(b"a later version")) == []
    assert site.stored(kept=[site.path()])


def test_what_is_cancelled_while_it_is_composed_leaves_no_file(site: Site, queue: JobQueue) -> None:
    site.path().write_bytes(site.held)
    record(site.engine, queue, admission("1.2.9"), scored(), destinations=["A"])
    (task,) = site.due()
    made = site.sr(b"another", "2.25.9")
    (wrong,) = retract.find(site.engine, "1.2.9")
    retract.retract(site.engine, wrong, who="test", reason="wrong hand")
    for _ in range(2):
        assert reports.finish_reports(site.engine, {task.report_id: [made]}, TAKES) == []
    assert site.stored(kept=[site.path()])
