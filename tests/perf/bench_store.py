"""A database of many results: seconds of what nodes and data managers ask it.

``python -m tests.perf.bench_store [--images 100000] [--url URL]``: ten result rows an image, so
100,000 images are 1,000,000 rows. Without ``--url`` in a temporary SQLite file; a PostgreSQL
database must be empty.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from ra_daemon.cohort.readings import load_readings
from ra_daemon.store import reconcile, retention, status, studies
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.query import open_query, run_query, write_csv
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.rows import dump_header
from ra_daemon.store.schema import upgrade
from ra_daemon.store.tables import (
    delivery,
    dicom_object,
    instance,
    job,
    outcome,
    report,
    result,
)
from tests.support.verdicts import ALL_LANES, header

THEN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("svdh_total", "svdh_left", "svdh_right", "severity", *["svdh_member"] * 6)
BATCH = 5000
QUERIES = {
    "rows of the view": "SELECT count(*) FROM v1_results",
    "one accession number": "SELECT * FROM v1_results WHERE accession_number = 'A77'",
    "one patient's totals": "SELECT value FROM v1_results "
    "WHERE patient_id = 'P7' AND kind = 'svdh_total'",
    "all totals": "SELECT * FROM v1_results WHERE kind = 'svdh_total' AND status = 'current'",
    "means by month": "SELECT substr(study_date, 1, 6), avg(value) FROM v1_results "
    "WHERE kind = 'svdh_total' GROUP BY 1",
}


def fill(engine: sa.Engine, images: int) -> None:
    """Images that were scored and delivered, every third of one hand."""
    for start in range(1, images + 1, BATCH):
        ids = range(start, min(images, start + BATCH - 1) + 1)
        with engine.begin() as conn:
            for table, values in _rows(ids):
                conn.execute(sa.insert(table), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text("ANALYZE"))


def _rows(ids: Sequence[int]) -> list[tuple[sa.Table, list[dict[str, object]]]]:
    text = dump_header(header())
    when = {"created_at": THEN, "not_before": THEN}
    model = {"bundle": "demo", "bundle_version": "1", "bundle_digest": "b" * 64, "engine": "cpu"}
    return [
        (instance, [{
            "id": i, "sop_instance_uid": f"1.2.{i}", "dataset_sha256": f"{i:064x}",
            "study_instance_uid": f"1.9.{i}", "patient_id": f"P{i // 5}",
            "accession_number": f"A{i}", "study_date": f"2026{i % 12 + 1:02d}01", "header": text,
            "path": f"objects/{i % 256:02x}/{i:064x}.dcm", "size": 1, "route": "all",
            "received_at": THEN} for i in ids]),
        (job, [{"id": i, "instance_id": i, "pipeline_digest": "p" * 64, "lane": 1, "route": "all",
                "state": "scored", **when} for i in ids]),
        (outcome, [{"id": i, "instance_id": i, "job_id": i, "kind": "scored",
                    "source_key": f"job:{i}", "hands": "both" if i % 3 else "left",
                    "findings": "{}", "created_at": THEN} for i in ids]),
        (report, [{"id": i, "outcome_id": i, "kind": "scored", "state": "composed",
                   "deliver": "send", "destinations": "[]", "created_at": THEN} for i in ids]),
        (dicom_object, [{"id": i, "report_id": i, "outcome_id": i, "kind": "sr",
                         "sop_class_uid": "1", "sop_instance_uid": f"2.25.{i}",
                         "study_instance_uid": f"1.9.{i}", "path": f"objects/x/{i}",
                         "sha256": "0" * 64, "created_at": THEN} for i in ids]),
        (delivery, [{"id": i, "object_id": i, "destination": "PACS", "state": "sent",
                     "sent_at": THEN, **when} for i in ids]),
        (result, [{"outcome_id": i, "kind": kind, "label": kind, "value": float(i % 200),
                   "low": 1.0, "high": 300.0, "level": 0.9, **model}
                  for i in ids for kind in KINDS]),
    ]  # fmt: skip


def measure(engine: sa.Engine, url: str, folder: Path) -> list[tuple[str, float]]:
    """(what, seconds), in the order of the page."""
    objects = ObjectStore(folder / "root")
    old = retention.Selection(older_than=timedelta(days=1))
    acts: dict[str, Callable[[], object]] = {
        **{what: lambda sql=sql: run_query(url, sql) for what, sql in QUERIES.items()},
        "export of all rows as CSV": lambda: export(url, folder / "all.csv"),
        "cohort: readings": lambda: load_readings(url),
        "status": lambda: status.snapshot(engine),
        "quiet studies": lambda: studies.quiet_studies(engine, 60),
        "reconciliation of rows": lambda: reconcile.rows(engine, objects),
        "reconciliation of files": lambda: reconcile.files(engine, objects),
        "claim of jobs": lambda: JobQueue(engine).claim("bench", 4, 60, ALL_LANES),
        "claim of deliveries": lambda: Outbox(engine).claim_due(16, ["PACS"]),
        "purge: dry run": lambda: retention.candidates(engine, old),
    }
    found = []
    for what, act in acts.items():
        started = time.perf_counter()
        act()
        found.append((what, time.perf_counter() - started))
    return found


def export(url: str, path: Path) -> None:
    """All rows as the command writes them."""
    with (
        open_query(url, "SELECT * FROM v1_results") as (columns, rows),
        path.open("w", newline="") as out,
    ):
        write_csv(columns, rows, out)


def main() -> None:
    """Fill, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/ra-daemon.db"
        engine = open_engine(url)
        upgrade(engine)
        started = time.perf_counter()
        fill(engine, given.images)
        filled = time.perf_counter() - started
        print(f"{given.images * len(KINDS):,} result rows, {engine.dialect.name}, "
              f"{os.cpu_count()} cores, filled in {filled:.0f} s\n")  # fmt: skip
        print("| What | Seconds |\n| --- | --- |")
        for what, seconds in measure(engine, url, Path(folder)):
            print(f"| {what} | {seconds:.2f} |")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\npeak memory {peak:.0f} MB")
        engine.dispose()


if __name__ == "__main__":
    main()
