"""An image whose file was gone or damaged and came again: what that held up, or spoilt, goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Route
from ra_daemon.domain import (
    Admission,
    Claim,
    Composed,
    Failed,
    Found,
    JobState,
    Lane,
    Reason,
    Refused,
    Scored,
)
from ra_daemon.errors import FileDamagedError, FindingsDamagedError, LeaseLostError
from ra_daemon.steps import admit
from ra_daemon.store import reports, results, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import ALL_LANES, admission, claim_one, scored

NO_HAND = Refused(reason=Reason.NOT_A_HAND)
DAMAGED = Failed(code=FileDamagedError.code, message="damaged", retriable=False, blame="file")
OTHER = replace(DAMAGED, code="scorer.raised")


@dataclass
class Site:
    """A node without processes: what comes in, and what its scorer says."""

    engine: sa.Engine
    queue: JobQueue
    objects: ObjectStore
    config: Config = field(default_factory=lambda: Config(route=(Route(name="all"),)))

    def receive(self, made: Admission | None = None, found: Found = "whole") -> None:
        admit.admit_all(
            self.engine,
            [replace(made or admission(), found=found)],
            config=self.config,
            queue=self.queue,
            digest_of=lambda route: route.name[0] * 64,
        )

    def judge(self, verdict: Scored | Refused | Failed, *, report: bool = True) -> Claim:
        """Settle the one job that is due."""
        claim = claim_one(self.queue)
        if isinstance(verdict, Failed):
            self.queue.fail(claim, verdict, 3, 0)
            return claim
        results.record(
            self.engine, self.queue, claim, verdict, pipeline_digest=claim.pipeline_digest,
            destinations=("PACS",), deliver="send" if report else "database-only",
        )  # fmt: skip
        return claim

    def compose(self) -> None:
        """Compose the one report that is due."""
        (task,) = reports.due_reports(self.engine, self.objects, 9)
        path, digest = self.objects.put_bytes(b"report", ".dcm")
        made = Composed(
            kind="sr", sop_class_uid="1.88.22", sop_instance_uid="2.25.1", path=path, sha256=digest
        )
        reports.finish_reports(self.engine, {task.report_id: [made]}, {"PACS": True})

    def fail_report(self) -> None:
        """The one report that is due fails because of the image's file."""
        (task,) = reports.due_reports(self.engine, self.objects, 9)
        reports.fail_report(self.engine, task.report_id, FileDamagedError.code)

    def state(self) -> tuple[JobState, int]:
        (job,) = self.queue.list()
        return job.state, job.attempts

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(sa.text(query))]

    def verdicts(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT kind, status FROM outcome ORDER BY id")

    def reports(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT state, cause FROM report ORDER BY id")

    def lose_heatmaps(self) -> None:
        """The one report that is due cannot be composed: its heatmaps are gone."""
        with self.engine.begin() as conn:
            conn.execute(sa.text("UPDATE outcome SET heatmap_path = 'objects/00/none.npz'"))
        assert reports.due_reports(self.engine, self.objects, 9) == []


@pytest.fixture
def site(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> Site:
    return Site(engine, queue, objects)


@pytest.mark.parametrize(
    ("failed", "found", "again"),
    [
        (DAMAGED, "damaged", True),
        (DAMAGED, "nothing", True),
        (DAMAGED, "whole", True),  # a crash came between the mending and its commit
        (OTHER, "damaged", True),  # as a damaged file failed before it had a cause of its own
        (OTHER, "whole", False),
    ],
)
def test_a_dead_letter_goes_on_when_its_file_comes_again(
    site: Site, failed: Failed, found: Found, *, again: bool
) -> None:
    site.receive()
    site.judge(failed)
    assert site.state() == (JobState.FAILED, 1)
    for _ in range(2):  # a crash before the inbox was left repeats it
        site.receive(found=found)
    assert site.state() == ((JobState.QUEUED, 0) if again else (JobState.FAILED, 1))
    if again:
        site.judge(scored())
        assert site.verdicts() == [("scored", "current")]


def test_what_a_worker_read_before_the_mending_does_not_count(site: Site) -> None:
    site.receive()
    claim = claim_one(site.queue)
    site.receive(found="damaged")
    with pytest.raises(LeaseLostError):
        site.queue.fail(claim, DAMAGED, 3, 0)
    site.judge(scored())
    assert site.verdicts() == [("scored", "current")]


@pytest.mark.parametrize("held_up", ["failed", "due", "none"])
def test_a_score_that_no_report_bears_out_is_given_anew(site: Site, held_up: str) -> None:
    site.receive()
    first = site.judge(scored(value=9.13), report=held_up != "none")
    if held_up == "failed":
        site.fail_report()
    site.receive(found="damaged")
    assert reports.due_reports(site.engine, site.objects, 9) == [], "no report of the old score"
    with site.engine.begin() as conn:
        assert reports.retry_reports(conn) == 0, "nor by jobs retry"
    again = site.judge(scored(value=0.04))
    assert again.job_id == first.job_id
    assert site.verdicts() == [("scored", "superseded"), ("scored", "current")]
    current = "SELECT value FROM v1_results WHERE status = 'current' AND kind = 'svdh_total'"
    assert site.rows(current) == [(0.04,)]
    (task,) = reports.due_reports(site.engine, site.objects, 9)
    assert task.predecessor is None
    assert status.snapshot(site.engine)["unaccounted"] == 0


def test_a_failed_report_alone_tells_that_its_file_had_to_be_mended(site: Site) -> None:
    site.receive()
    site.judge(scored(value=9.13))
    site.fail_report()
    site.receive(found="whole")  # a crash came between the mending and its commit
    assert site.state()[0] is JobState.QUEUED


def test_a_score_whose_report_was_composed_stands(site: Site) -> None:
    site.receive()
    site.judge(scored())
    site.compose()
    site.receive(found="damaged")
    assert site.state()[0] is JobState.SCORED
    assert site.reports() == [("composed", "")]
    with site.engine.begin() as conn:  # its own file is lost, and the image's was damaged then
        conn.execute(sa.text("UPDATE report SET state = 'due'"))
    site.fail_report()
    site.receive(found="damaged")
    assert site.reports() == [("due", "")]
    assert site.verdicts() == [("scored", "current")]


def test_a_refusal_of_a_damaged_file_is_not_for_ever(site: Site) -> None:
    site.receive()
    site.judge(NO_HAND)
    site.receive(found="whole")
    assert site.state()[0] is JobState.REFUSED
    site.receive(found="damaged")
    site.judge(scored())
    assert site.verdicts() == [("refused", "superseded"), ("scored", "current")]


def test_the_same_verdict_once_more_is_written_and_replaces_the_first(site: Site) -> None:
    site.receive()
    site.judge(NO_HAND)
    site.receive(found="damaged")
    site.judge(NO_HAND)
    assert site.verdicts() == [("refused", "superseded"), ("refused", "current")]


def test_a_retracted_result_is_not_judged_again(site: Site) -> None:
    site.receive()
    site.judge(scored(), report=False)
    with site.engine.begin() as conn:
        conn.execute(sa.text("UPDATE outcome SET kind = 'retracted'"))
    site.receive(found="damaged")
    assert site.state()[0] is JobState.SCORED


def test_a_scored_image_keeps_its_route_whoever_sends_it_again(site: Site) -> None:
    site.config = Config(route=(Route(name="all", calling_ae="CR1"),))
    site.receive()
    site.judge(scored())
    came = admission()
    site.receive(replace(came, origin=replace(came.origin, calling_ae="PACS")), "damaged")
    assert site.judge(scored()).route == "all"


def test_the_file_of_a_header_that_did_not_decide_judges_nothing(site: Site) -> None:
    site.receive()
    site.judge(scored())
    changed = admission(content="two", patient_id="P9")
    site.receive(changed)
    site.receive(changed, "damaged")
    assert site.state()[0] is JobState.SCORED
    assert site.reports() == [("due", "")]


def test_a_shadow_of_a_damaged_file_goes_on_as_well(site: Site) -> None:
    site.receive()
    site.judge(scored())
    site.compose()
    with site.engine.begin() as conn:
        number = conn.execute(sa.text("SELECT id FROM instance")).scalar_one()
        site.queue.enqueue(conn, int(number), "s" * 64, Lane.SHADOW, "all")
    lanes = [*ALL_LANES, Lane.SHADOW]
    (claim,) = site.queue.claim("w", 9, 60, lanes)
    site.queue.fail(claim, DAMAGED, 3, 0)
    site.receive(found="damaged")
    (again,) = site.queue.claim("w", 9, 60, lanes)
    assert again.lane is Lane.SHADOW


def test_no_total_is_reported_of_a_hand_that_is_judged_again(site: Site) -> None:
    site.receive()
    site.judge(scored(hands="left"), report=False)
    with site.engine.begin() as conn:
        conn.execute(
            sa.text(
                "INSERT INTO outcome (instance_id, kind, source_key, created_at, role, status) "
                "SELECT instance_id, 'aggregate', 'total', created_at, 'active', 'current' "
                "FROM outcome"
            )
        )
        conn.execute(
            sa.text(
                "INSERT INTO outcome_source (outcome_id, source_id) SELECT a.id, o.id "
                "FROM outcome a, outcome o WHERE a.kind = 'aggregate' AND o.kind = 'scored'"
            )
        )
        conn.execute(
            sa.text(
                "INSERT INTO report (outcome_id, kind, state, deliver, destinations, created_at) "
                "SELECT id, 'aggregate', 'due', 'send', '[]', created_at FROM outcome "
                "WHERE kind = 'aggregate'"
            )
        )
    site.receive(found="damaged")
    assert site.reports() == [("cancelled", "file_mended")]
    assert site.state()[0] is JobState.QUEUED


def test_an_image_whose_heatmaps_are_lost_is_scored_anew_when_it_comes_again(site: Site) -> None:
    site.receive()
    site.judge(scored())
    site.lose_heatmaps()
    assert site.reports() == [("failed", FindingsDamagedError.code)]
    for _ in range(2):
        site.receive()
    site.judge(scored())
    assert site.verdicts() == [("scored", "superseded"), ("scored", "current")]
    assert site.reports() == [("cancelled", "file_mended"), ("due", "")]
