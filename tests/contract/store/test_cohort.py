"""A cohort is the same file from SQLite and from PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from ra_daemon.cohort.export import Lock, export_cohort, manifest_sha256
from ra_daemon.cohort.visits import read_mapping
from ra_daemon.store import audit, retract, schema
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission, band, record, scored

EXPECTED = """\
S1,A,W0,20260101,both,20.0,17.0,23.0,0.9,{score},2,,W0,,,,,is_baseline,
S1,A,W26,20260701,both,30.0,26.0,34.0,0.9,{score},,,W0,10.0,5.0,15.0,0,,
"""


def test_the_export_does_not_depend_on_the_database(
    engine: sa.Engine, queue: JobQueue, database_url: str, tmp_path: Path
) -> None:
    for uid, day, verdict in (
        ("1.1", "20260101", scored(band(2), value=20, half=3)),
        ("1.2", "20260701", scored(value=30, half=4)),
    ):
        record(engine, queue, admission(uid, study_date=day, accession_number=""), verdict)
    visits = tmp_path / "visits.csv"
    visits.write_text(
        "patient_id,study_date,subject,visit,arm\nP1,2026-01-01,S1,W0,A\nP1,2026-07-01,S1,W26,A\n"
    )
    out = tmp_path / "out"
    now = datetime(2026, 8, 1, tzinfo=UTC)
    export_cohort(database_url, read_mapping(visits), out, now=now)
    lines = (out / "cohort.csv").read_text().splitlines()[1:]
    assert [line.split("demo,")[0] for line in lines] == EXPECTED.splitlines()


def test_a_retracted_visit_says_so(
    engine: sa.Engine, queue: JobQueue, database_url: str, tmp_path: Path
) -> None:
    record(engine, queue, admission("1.1", study_date="20260101"), scored())
    (found,) = retract.find(engine, "1.1")
    retract.retract(engine, found, who="dr", reason="wrong side")
    visits = tmp_path / "visits.csv"
    visits.write_text("patient_id,study_date,subject,visit\nP1,2026-01-01,S1,W0\n")
    export_cohort(database_url, read_mapping(visits), tmp_path / "out")
    missing = (tmp_path / "out" / "missing_visits.csv").read_text().splitlines()
    assert missing[1:] == ["S1,,W0,retracted"]


def test_a_lock_is_audited(
    engine: sa.Engine, queue: JobQueue, database_url: str, tmp_path: Path
) -> None:
    record(engine, queue, admission("1.1", study_date="20260101"), scored())
    visits = tmp_path / "visits.csv"
    visits.write_text("patient_id,study_date,subject,visit\nP1,2026-01-01,S1,W0\n")
    out = tmp_path / "out"
    lock = Lock(who="dm", why="endpoint")
    manifest = export_cohort(database_url, read_mapping(visits), out, lock=lock)
    assert manifest["program"]["database"] == schema.revisions(engine)[1]
    with engine.connect() as conn:
        assert [row.new.split(",")[0] for row in audit.entries(conn)] == [
            f"manifest {manifest_sha256(out)}"
        ]
