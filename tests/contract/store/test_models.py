"""Contract of the states of bundles: one active, one shadow, every change audited."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from ra_daemon import models as in_force
from ra_daemon.config import Config
from ra_daemon.domain import Header, Lane, Origin, Reason, Refused
from ra_daemon.errors import StoreError
from ra_daemon.store import audit, models, results, status
from ra_daemon.store.models import Identity, ModelState
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.rescore import rescore
from tests.support.verdicts import (
    ALL_LANES,
    admission,
    admit,
    claim_one,
    enqueue,
    record,
    scored,
)


def identity(name: str, digest: str = "d") -> Identity:
    return Identity(name=name, bundle=name, version="1", digest=digest * 64)


def move(engine: sa.Engine, name: str, state: ModelState) -> list[tuple[str, ModelState]]:
    return models.move(engine, identity(name), state, who="op", why="trial")


def states(engine: sa.Engine) -> dict[str, str]:
    return {row.name: row.state.value for row in models.rows(engine)}


def test_a_bundle_goes_its_way_and_each_step_is_audited(engine: sa.Engine) -> None:
    for state in ModelState:  # candidate, shadow, active, retired
        assert move(engine, "a", state) == [("a", state)]
        assert move(engine, "a", state) == []
    with engine.connect() as conn:
        told = [(e.old, e.new.rsplit(" ", 1)[1]) for e in audit.entries(conn)]
    assert told == [
        ("", "candidate"),
        ("a candidate", "shadow"),
        ("a shadow", "active"),
        ("a active", "retired"),
    ]


def test_only_one_is_active_and_only_one_is_shadow(engine: sa.Engine) -> None:
    move(engine, "a", ModelState.ACTIVE)
    move(engine, "b", ModelState.SHADOW)
    assert move(engine, "c", ModelState.SHADOW)[0] == ("b", ModelState.CANDIDATE)
    assert move(engine, "c", ModelState.ACTIVE)[0] == ("a", ModelState.RETIRED)
    assert states(engine) == {"a": "retired", "b": "candidate", "c": "active"}
    move(engine, "a", ModelState.ACTIVE)  # and back
    assert states(engine) == {"a": "active", "b": "candidate", "c": "retired"}


def test_ways_that_there_are_not(engine: sa.Engine) -> None:
    move(engine, "a", ModelState.ACTIVE)
    for state in (ModelState.SHADOW, ModelState.CANDIDATE):
        with pytest.raises(StoreError, match="cannot become"):
            move(engine, "a", state)
    move(engine, "a", ModelState.RETIRED)
    with pytest.raises(StoreError, match="cannot become"):
        move(engine, "a", ModelState.SHADOW)


def test_other_files_under_the_same_name_are_a_change(engine: sa.Engine) -> None:
    move(engine, "a", ModelState.ACTIVE)
    assert models.move(engine, identity("a", "e"), ModelState.ACTIVE, who="op")
    (row,) = models.rows(engine)
    assert row.digest == "e" * 64


def test_what_is_activated_goes_before_the_configuration(engine: sa.Engine) -> None:
    assert in_force.effective(Config(), engine) == Config()
    move(engine, "a", ModelState.ACTIVE)
    move(engine, "b", ModelState.SHADOW)
    scoring = in_force.effective(Config(), engine).scoring
    assert (scoring.bundle, scoring.shadow) == ("a", "b")


def test_a_scored_image_is_queued_for_the_shadow_after_all_others(
    engine: sa.Engine, queue: JobQueue
) -> None:
    enqueue(engine, queue, 2)
    first = claim_one(queue)
    results.record(engine, queue, first, scored(), pipeline_digest="p", shadow_digest="s" * 64)
    lanes = [*ALL_LANES, Lane.SHADOW]
    second, shadow = queue.claim("w", 9, 60, lanes)
    assert (second.lane, shadow.lane) == (Lane.NORMAL, Lane.SHADOW)
    assert (shadow.instance_id, shadow.pipeline_digest) == (first.instance_id, "s" * 64)
    refused = Refused(reason=Reason.CAST)
    results.record(engine, queue, second, refused, pipeline_digest="p", shadow_digest="s" * 64)
    results.record(engine, queue, shadow, scored(value=50), pipeline_digest="s", role="shadow")
    assert queue.claim("w", 9, 60, lanes) == []
    snapshot = status.snapshot(engine)
    assert (snapshot["scored"], snapshot["refused"], snapshot["unaccounted"]) == (1, 1, 0)


def test_a_job_is_worked_under_the_pipeline_that_works_it(
    engine: sa.Engine, queue: JobQueue
) -> None:
    enqueue(engine, queue, pipeline="o" * 64)
    claim = claim_one(queue)
    moved = queue.repin(claim, "n" * 64)
    assert moved is not None
    shown = queue.show(claim.job_id)
    assert shown is not None
    assert shown.pipeline_digest == moved.pipeline_digest == "n" * 64
    queue.release([moved])
    assert queue.repin(moved, "x" * 64) is None  # fenced: it is no longer ours
    shown = queue.show(claim.job_id)
    assert shown is not None
    assert (shown.pipeline_digest, shown.state.value) == ("n" * 64, "queued")


@pytest.mark.parametrize("digest", ["", "n" * 64])
def test_a_job_that_nobody_wants_or_another_does_is_cancelled(
    engine: sa.Engine, queue: JobQueue, digest: str
) -> None:
    (job_id,) = enqueue(engine, queue, pipeline="o" * 64)
    claim = claim_one(queue)
    enqueue(engine, queue, pipeline="n" * 64)
    assert queue.repin(claim, digest) is None
    shown = queue.show(job_id)
    assert shown is not None
    assert (shown.state.value, shown.cause) == ("cancelled", "pipeline_changed")


def nowhere(_origin: Origin, _header: Header) -> None:
    """No route takes an image."""


def test_old_images_are_scored_again_by_the_new_pipeline(
    engine: sa.Engine, queue: JobQueue
) -> None:
    record(engine, queue, admission("1.1"), scored())
    record(engine, queue, admission("1.2", study_instance_uid="7"), scored())
    record(engine, queue, admission("1.3"), scored())
    admit(engine, admission("1.4"))  # without a verdict: its own job will come
    with engine.begin() as conn:
        conn.execute(
            sa.text("UPDATE instance SET purged_at = received_at WHERE sop_instance_uid = '1.3'")
        )
    new = {"all": ("n" * 64, Lane.NORMAL)}
    done = rescore(engine, queue, new, route_of=nowhere, who="op", study="7")
    assert (done.queued, done.known, done.purged) == (1, 0, 0)
    done = rescore(engine, queue, new, route_of=nowhere, who="op")
    assert (done.queued, done.known, done.purged) == (1, 1, 1)
    for claim in queue.claim("w", 9, 60, ALL_LANES):
        results.record(engine, queue, claim, scored(value=50), pipeline_digest="n" * 64)
    with engine.connect() as conn:
        query = "SELECT status, COUNT(*) FROM v1_results GROUP BY status ORDER BY status"
        assert [tuple(r) for r in conn.execute(sa.text(query))] == [
            ("current", 3),
            ("superseded", 2),
        ]
    assert rescore(engine, queue, {}, route_of=nowhere, who="op").queued == 0
