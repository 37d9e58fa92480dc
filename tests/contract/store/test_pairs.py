"""Contract of the comparison of two bundles: the same images, the last word of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from ra_daemon.cohort import pairs
from ra_daemon.domain import Scored
from ra_daemon.store import retract
from ra_daemon.store.queue import JobQueue
from ra_engine.types import Measurement
from tests.support.verdicts import MODEL, admission, record, scored


def by(bundle: str, value: float, hands: str = "both") -> Scored:
    made = scored(value=value, hands=hands)
    (finding,) = made.findings
    assert isinstance(finding, Measurement)
    model = replace(MODEL, bundle=bundle, version="2.0")
    return replace(made, findings=(replace(finding, model=model),))


def put(engine: sa.Engine, queue: JobQueue, uid: str, bundle: str, made: Scored) -> None:
    role = "active" if bundle == "a" else "shadow"
    record(engine, queue, admission(uid), made, pipeline=f"{bundle}{made}"[:64].ljust(64),
           role=role)  # type: ignore[arg-type]  # fmt: skip


def test_the_paired_difference(engine: sa.Engine, queue: JobQueue, database_url: str) -> None:
    for number, (a, b) in enumerate([(10.0, 12.0), (20.0, 21.0), (30.0, 27.0)]):
        put(engine, queue, f"1.{number}", "a", by("a", a))
        put(engine, queue, f"1.{number}", "b", by("b", b))
    put(engine, queue, "1.8", "a", by("a", 99.0))  # by one only
    put(engine, queue, "1.9", "a", by("a", 5.0, "left"))
    put(engine, queue, "1.9", "b", by("b", 7.0, "left"))
    both, one = pairs.compare(database_url, "a", "b-2.0")
    assert (both.scale, both.n, both.mean) == ("both hands", 3, 0.0)
    assert both.sd == pytest.approx(7**0.5)  # differences 2, 1, -3
    assert (both.low, both.high) == pytest.approx((-1.96 * 7**0.5, 1.96 * 7**0.5))
    assert (both.largest, both.largest_source) == (-3.0, admission("1.2").dataset_sha256)
    assert (one.scale, one.n, one.mean, one.sd, one.low) == ("one hand", 1, 2.0, None, None)


def test_retracted_results_do_not_count(
    engine: sa.Engine, queue: JobQueue, database_url: str
) -> None:
    put(engine, queue, "1.1", "a", by("a", 1.0))
    put(engine, queue, "1.1", "b", by("b", 2.0))
    (found,) = retract.find(engine, "1.1")
    retract.retract(engine, found, who="x", reason="x")
    assert [p.n for p in pairs.compare(database_url, "a", "b")] == [0, 0]


def test_names_are_data(engine: sa.Engine, database_url: str) -> None:
    assert [p.n for p in pairs.compare(database_url, "a' OR 1=1 --", "b")] == [0, 0]
