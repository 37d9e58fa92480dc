"""A refused image is judged again once its route, the route's options or its header are mended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Gate, Route
from ra_daemon.domain import Admission, Claim, Composed, Header, Lane, Origin, Reason, Refused
from ra_daemon.errors import LeaseLostError
from ra_daemon.routing import lane_of, match_route
from ra_daemon.steps import admit, gate
from ra_daemon.store import reconcile, reports, results, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.rescore import Rescored, rescore
from tests.support.verdicts import admission, claim_one, scored

UNDER_AGE = Refused(reason=Reason.UNDER_AGE)


def digest_of(route: Route) -> str:
    """As a node's, without bundles."""
    return hashlib.sha256(gate.version(Gate(), route).encode()).hexdigest()


@dataclass
class Site:
    """A node without processes: what comes in, and what its scorer says."""

    engine: sa.Engine
    queue: JobQueue
    config: Config = field(default_factory=Config)

    def route(self, **fields: object) -> None:
        """Have one route, or none."""
        routes = (Route(name="all", **fields),) if fields else ()  # type: ignore[arg-type]
        self.config = Config(route=routes)

    def receive(self, made: Admission) -> None:
        admit.admit_all(
            self.engine, [made], config=self.config, queue=self.queue, digest_of=digest_of
        )

    def rescore(self) -> Rescored:
        """``ra-daemon jobs rescore --all``."""

        def route_of(origin: Origin, header: Header) -> str | None:
            route = match_route(self.config, origin, header)
            return route.name if route else None

        pipelines = {r.name: (digest_of(r), lane_of(r)) for r in self.config.route}
        return rescore(self.engine, self.queue, pipelines, route_of=route_of, who="op")

    def judge(self, verdict: object, *, refusal_report: bool = False) -> Claim:
        """Settle the one job that is due."""
        claim = claim_one(self.queue)
        results.record(
            self.engine, self.queue, claim, verdict,  # type: ignore[arg-type]
            pipeline_digest=claim.pipeline_digest, refusal_report=refusal_report,
            destinations=("PACS",),
        )  # fmt: skip
        return claim

    def idle(self) -> bool:
        return self.queue.counts()["queued"] == 0

    def verdicts(self) -> list[tuple[str, str]]:
        """(kind or reason, status) in the order of writing."""
        query = (
            "SELECT COALESCE(r.reason_code, o.kind), o.status FROM outcome o "
            "LEFT JOIN refusal r ON r.outcome_id = o.id ORDER BY o.id"
        )
        with self.engine.connect() as conn:
            return [(str(a), str(b)) for a, b in conn.execute(sa.text(query))]

    def one(self, query: str) -> object:
        with self.engine.connect() as conn:
            return conn.execute(sa.text(query)).scalar_one()


@pytest.fixture
def site(engine: sa.Engine, queue: JobQueue) -> Site:
    return Site(engine, queue)


@pytest.mark.parametrize("again", ["sent", "rescored"])
def test_an_image_without_a_route_is_scored_once_there_is_one(site: Site, again: str) -> None:
    site.receive(admission())
    assert site.verdicts() == [("no_route", "current")]
    assert site.rescore() == Rescored(queued=0, known=0, purged=0)
    site.route(lane="stat")
    if again == "sent":
        site.receive(admission())
    else:
        assert site.rescore() == Rescored(queued=1, known=0, purged=0)
    assert site.one("SELECT route FROM v1_instances") == "all"
    claim = site.judge(scored())
    assert (claim.route, claim.lane) == ("all", Lane.STAT)
    assert site.verdicts() == [("no_route", "superseded"), ("scored", "current")]
    assert status.snapshot(site.engine)["unaccounted"] == 0


def test_what_was_judged_already_is_left_alone(site: Site) -> None:
    site.route(min_age=18)
    site.receive(admission())
    site.judge(UNDER_AGE)
    site.receive(admission())
    assert site.rescore() == Rescored(queued=0, known=1, purged=0)
    assert site.idle()
    site.receive(admission("1.9"))
    site.judge(scored())
    site.route(min_age=0)
    site.receive(admission("1.9"))  # scored: only a person's word scores it once more
    assert site.idle()


@pytest.mark.parametrize(
    "option", [{"secondary_capture": True}, {"for_processing": True}, {"min_age": 16}]
)
@pytest.mark.parametrize("again", ["sent", "rescored"])
def test_an_option_of_the_route_that_judges_is_another_pipeline(
    site: Site, option: dict[str, object], again: str
) -> None:
    site.route(lane="normal")
    site.receive(admission())
    site.judge(Refused(reason=Reason.FOR_PROCESSING))
    site.route(lane="normal", **option)
    if again == "sent":
        site.receive(admission())
    else:
        assert site.rescore() == Rescored(queued=1, known=0, purged=0)
    site.judge(scored())
    assert site.verdicts() == [("for_processing", "superseded"), ("scored", "current")]


def test_a_refused_image_takes_the_route_that_it_would_take_now(site: Site) -> None:
    site.route(lane="normal")
    site.receive(admission())
    site.judge(Refused(reason=Reason.FOR_PROCESSING))
    films = Route(name="films", calling_ae="CR1", secondary_capture=True)
    site.config = Config(route=(films, *site.config.route))
    assert site.rescore() == Rescored(queued=1, known=0, purged=0)
    assert site.judge(scored()).route == "films"


def test_a_corrected_header_of_a_refused_image_is_judged_by_its_own_file(
    site: Site, objects: ObjectStore
) -> None:
    site.route(min_age=18)
    old = admission(patient_age_years=3.0)
    new = admission(content="two", patient_age_years=53.0, patient_id="P9")
    site.receive(old)
    site.judge(UNDER_AGE)
    for _ in range(2):  # a crash before the inbox was left repeats it
        site.receive(new)
    claim = site.judge(scored())
    assert (claim.path, claim.header.patient_age_years) == (new.path, 53.0)
    assert site.verdicts() == [("under_age", "superseded"), ("scored", "current")]
    (task,) = reports.due_reports(site.engine, objects, 9)
    assert task.paths == (new.path,)
    assert site.one("SELECT count(*) FROM v1_instances") == 1
    for known in (old, new):
        site.receive(known)
    assert site.idle()
    assert site.one("SELECT patient_id FROM v1_instances") == "P9"
    gone = reconcile.files(site.engine, objects)  # both files are still named by a row
    assert [(d.code, d.number) for d in gone] == [("rows_without_files", 2)]


def test_a_second_refusal_is_written_under_the_changed_header(
    site: Site, objects: ObjectStore
) -> None:
    site.route(min_age=18)
    site.receive(admission(patient_age_years=3.0))
    site.judge(UNDER_AGE, refusal_report=True)
    new = admission(content="two", patient_age_years=4.0)
    site.receive(new)
    assert reports.due_reports(site.engine, objects, 9) == []  # it would be made of the new file
    site.judge(UNDER_AGE, refusal_report=True)
    (task,) = reports.due_reports(site.engine, objects, 9)
    assert task.paths == (new.path,)
    assert site.verdicts() == [("under_age", "superseded"), ("under_age", "current")]


def test_a_changed_header_of_a_scored_image_scores_nothing(site: Site) -> None:
    site.route(min_age=18)
    old = admission()
    site.receive(old)
    site.judge(scored())
    site.receive(admission(content="two", patient_id="P9"))
    assert site.idle()
    assert site.verdicts() == [("scored", "current")]
    assert site.one("SELECT patient_id FROM v1_instances") == "P9"
    assert site.one("SELECT path FROM instance") == old.path


def test_a_header_that_changes_under_a_worker_takes_its_job_back(site: Site) -> None:
    site.route(min_age=18)
    site.receive(admission(patient_age_years=3.0))
    claim = claim_one(site.queue)
    site.receive(admission(content="two", patient_age_years=53.0))
    with pytest.raises(LeaseLostError):
        results.record(
            site.engine, site.queue, claim, UNDER_AGE, pipeline_digest=claim.pipeline_digest
        )
    again = site.judge(scored())
    assert (again.job_id, again.attempt) == (claim.job_id, 1)
    assert site.verdicts() == [("scored", "current")]


def test_an_image_that_could_not_be_read_is_judged_once_its_header_is_right(site: Site) -> None:
    site.route(min_age=18)
    cut = Refused(reason=Reason.UNREADABLE, detail="The pixel data is shorter than it says.")
    site.receive(admission(refused=cut))
    site.receive(admission(content="two", refused=cut))
    assert site.idle()
    site.receive(admission(content="three"))
    site.judge(scored())
    assert site.verdicts() == [("unreadable", "superseded"), ("scored", "current")]


def test_our_own_object_that_comes_back_judges_nothing_again(
    site: Site, objects: ObjectStore
) -> None:
    site.route(min_age=18)
    site.receive(admission())
    site.judge(UNDER_AGE, refusal_report=True)
    (task,) = reports.due_reports(site.engine, objects, 9)
    made = Composed(kind="refusal", sop_class_uid="1", sop_instance_uid="2.25.7", path="x",
                    sha256="0")  # fmt: skip
    reports.finish_report(site.engine, task.report_id, [made], {"PACS": True})
    site.route(min_age=0)
    site.receive(admission("2.25.7"))
    assert site.idle()
