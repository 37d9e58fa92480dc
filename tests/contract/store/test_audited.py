"""What a person changes and its audit row are one transaction: both are there, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ra_daemon.cli import main
from ra_daemon.domain import Composed, Failed, Parked
from ra_daemon.store import reports
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission, claim_one, enqueue, record, scored

STATES = {
    name: sa.text(f"SELECT id, state, cause FROM {name} ORDER BY id")
    for name in ("job", "report", "delivery")
}


@pytest.fixture
def node(database_url: str, tmp_path: Path) -> Path:
    """Configuration of a node on this database."""
    path = tmp_path / "ra-daemon.toml"
    path.write_text(
        f'[store]\nroot = "root"\nurl = "{database_url}"\n'
        '[[peer]]\nname = "PACS"\nae_title = "PACS"\nport = 11113\n'
        '[[route]]\nname = "all"\ndestinations = ["PACS"]\n'
    )
    return path


@pytest.fixture
def waiting(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
    """One of each: deliveries parked and held, a report and a job that failed, a job, a verdict."""
    for uid, deliver in (("1.1", "send"), ("1.2", "hold"), ("1.3", "send")):
        record(engine, queue, admission(uid), scored(), deliver=deliver)  # type: ignore[arg-type]
    for task in reports.due_reports(engine, objects, 2):
        path = f"objects/{task.report_id}"
        sr = Composed(
            kind="sr", sop_class_uid="1.2", sop_instance_uid=f"2.25.{task.report_id}", path=path,
            sha256="0" * 64,
        )  # fmt: skip
        reports.finish_report(engine, task.report_id, [sr], {"PACS": True})
    (failed,) = reports.due_reports(engine, objects, 9)
    reports.fail_report(engine, failed.report_id, "report.failed")
    outbox = Outbox(engine, objects.root)
    (sent,) = outbox.claim_due(9)
    outbox.settle(sent, Parked(cause="0122"))
    enqueue(engine, queue, 2, first=7)
    wrong = Failed(code="io.failed", message="", blame="", retriable=False)
    queue.fail(claim_one(queue), wrong, 1, 0)


@contextmanager
def no_audit(engine: sa.Engine) -> Iterator[None]:
    """The audit trail cannot be written meanwhile."""
    for old, new in (("audit", "away"), ("away", "audit")):
        with engine.begin() as conn:
            conn.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
        if new == "away":
            yield


def states(engine: sa.Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as conn:
        return {name: [tuple(r) for r in conn.execute(q)] for name, q in STATES.items()}


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "retry"),
        ("jobs", "cancel", "5"),
        ("jobs", "release"),
        ("jobs", "give-up", "--destination", "PACS", "--reason", "x"),
        ("jobs", "rescore", "--all"),
    ],
)
def test_nothing_changes_without_its_audit_row(
    engine: sa.Engine, node: Path, words: tuple[str, ...]
) -> None:
    before = states(engine)
    call = [*words, "--config", str(node)]
    with no_audit(engine):
        done = CliRunner().invoke(main, call)
    assert done.exit_code == 5, done.output
    assert states(engine) == before
    done = CliRunner().invoke(main, call)
    assert done.exit_code == 0, done.output
    assert states(engine) != before
    with engine.connect() as conn:
        assert conn.execute(sa.text("SELECT count(*) FROM audit")).scalar_one() == 1
