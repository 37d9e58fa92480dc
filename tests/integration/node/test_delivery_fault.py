"""A turn of delivery that ends in its middle: nothing waits for a lease, nothing is sent twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon import settings
from ra_daemon.domain import Composed
from ra_daemon.store import reports
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from tests.support.dicom_sources import clean
from tests.support.processes import run_node, wait_until
from tests.support.site import column, sink_pacs, write_site
from tests.support.verdicts import admission, record, scored

pytestmark = pytest.mark.xdist_group("node without peers")

STATES = "SELECT state FROM v1_deliveries ORDER BY sop_instance_uid"
FAULT = """
CREATE TRIGGER fault BEFORE UPDATE ON delivery
WHEN NEW.state = 'sent' AND NEW.id = (SELECT min(id) FROM delivery)
BEGIN SELECT RAISE(ABORT, 'no row for you'); END
"""


def queue_objects(site: Path, number: int) -> list[str]:
    """A report of so many objects, due at the peer; their UIDs."""
    config = settings.load(site / "ra-daemon.toml", environ={})
    store = ObjectStore(config.root)
    engine = open_engine(config.database_url)
    upgrade(engine)
    record(engine, JobQueue(engine), admission(), scored(), destinations=["sink"])
    (task,) = reports.due_reports(engine, store, 9)
    source = dcmread(clean(site / "source.dcm"))
    made = []
    for last in range(number):
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"2.25.{last}"
        source.save_as(site / "object.dcm")
        path, digest = store.put_bytes((site / "object.dcm").read_bytes(), ".dcm")
        made.append(
            Composed(
                kind="sr" if last == 0 else "capture",
                sop_class_uid=str(source.SOPClassUID),
                sop_instance_uid=str(source.SOPInstanceUID),
                path=path,
                sha256=digest,
            )
        )
    reports.finish_report(engine, task.report_id, made, {"sink": True})
    engine.dispose()
    return [o.sop_instance_uid for o in made]


def change(site: Path, statement: str) -> None:
    connection = sqlite3.connect(site / "store" / "ra-daemon.db", timeout=30)
    with connection:
        connection.execute(statement)
    connection.close()


def test_an_object_that_cannot_be_settled_holds_back_no_other(tmp_path: Path) -> None:
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        uids = queue_objects(site, 3)
        change(site, FAULT)
        with run_node(site, arguments=["--only", "deliver"], wait=False) as node:
            wait_until(lambda: "loop.failed" in node.text(), 60)
            wait_until(lambda: column(site, STATES)[1:] == ["sent", "sent"], 60)
            assert column(site, STATES)[0] != "sent"
            change(site, "DROP TRIGGER fault")
            wait_until(lambda: set(column(site, STATES)) == {"sent"}, 60)
            assert node.stop() == 0
        assert Counter(kept.sop_instance for kept in sink.kept) == Counter(uids)
