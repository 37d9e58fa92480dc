"""purge, legal-hold and retract as people type them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_daemon.domain import Reason, Refused
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support import verdicts

REFUSED = Refused(reason=Reason.CAST)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def told(*arguments: str | Path) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def image(config: Config) -> Path:
    """The file of one refused image of patient MARKER, long received."""
    engine = open_engine(config.database_url)
    made = verdicts.admission("1.2.3.1", patient_id="MARKER")
    verdicts.record(engine, JobQueue(engine), made, REFUSED)
    engine.dispose()
    path = ObjectStore(config.root).root / made.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"pixels")
    return path


def test_by_default_nothing_goes(node: Path, image: Path) -> None:
    found = told("purge", "--patient", "MARKER", "--config", node)
    assert found["may_go"] == {"images": 1, "bytes": 1000}
    assert found["dry_run"] is True
    words = run("purge", "--patient", "MARKER", "--config", node)
    assert "Nothing was removed" in words.stderr
    assert image.exists()


def test_yes_removes_the_file_and_keeps_the_row(node: Path, image: Path) -> None:
    done = run("purge", "--study", "1.2", "--yes", "--reason", "end of study", "--config", node)
    assert done.exit_code == 0, done.output
    assert not image.exists()
    sql = "select purge_reason from v1_instances"
    assert told("query", sql, "--config", node) == [{"purge_reason": "end of study"}]
    assert told("status", "--config", node)["purged"] == 1
    assert told("purge", "--study", "1.2", "--config", node)["may_go"]["images"] == 0


def test_a_purge_needs_a_choice(node: Path) -> None:
    assert run("purge", "--config", node).exit_code == 2
    assert run("purge", "--scheduled", "--config", node).exit_code == 3


def test_what_the_schedule_takes_can_be_seen_before(node: Path, image: Path) -> None:
    node.write_text(node.read_text() + "[schedule]\nretain_pixels_days = 30\n")
    assert told("purge", "--scheduled", "--config", node)["may_go"]["images"] == 1


def test_a_hold_stops_a_purge_and_says_so(node: Path, image: Path) -> None:
    added = run("legal-hold", "add", "--patient", "MARKER", "--reason", "c7", "--config", node)
    assert added.stdout.strip() == "1"
    found = told("purge", "--patient", "MARKER", "--yes", "--config", node)
    assert found["purged"] == 0
    assert found["stay"]["legal_hold"]["images"] == 1
    assert "legal-hold" in found["stay"]["legal_hold"]["remedy"]
    assert told("legal-hold", "list", "--config", node)[0]["scope"] == "patient"
    assert run("legal-hold", "lift", "1", "--reason", "x", "--config", node).exit_code == 0
    assert run("legal-hold", "lift", "1", "--reason", "x", "--config", node).exit_code == 1
    assert run("legal-hold", "add", "--reason", "x", "--config", node).exit_code == 2
    assert told("purge", "--patient", "MARKER", "--yes", "--config", node)["purged"] == 1


def test_no_audit_row_names_the_patient(node: Path, config: Config, image: Path) -> None:
    run("legal-hold", "add", "--patient", "MARKER", "--reason", "c7", "--config", node)
    run("legal-hold", "lift", "1", "--reason", "done", "--config", node)
    run("purge", "--patient", "MARKER", "--yes", "--config", node)
    engine = open_engine(config.database_url)
    with engine.connect() as conn:
        rows = [str(r) for r in conn.execute(sa.text("SELECT * FROM audit"))]
    engine.dispose()
    assert len(rows) == 3
    assert not any("MARKER" in row for row in rows)


def test_a_result_is_retracted_by_its_image(node: Path, config: Config) -> None:
    engine = open_engine(config.database_url)
    verdicts.record(
        engine, JobQueue(engine), verdicts.admission("1.9"), verdicts.scored(),
        deliver="database-only",
    )  # fmt: skip
    engine.dispose()
    (done,) = told("retract", "1.9", "--reason", "wrong side", "--config", node)
    assert (done["kind"], done["destinations"]) == ("scored", [])
    sql = "select status, retract_reason from v1_results where kind = 'svdh_total'"
    assert told("query", sql, "--config", node) == [
        {"status": "retracted", "retract_reason": "wrong side"}
    ]
    assert told("status", "--config", node)["retracted"] == 1
    again = run("retract", "1.9", "--reason", "x", "--config", node)
    assert again.exit_code == 1
    assert "Hint:" in again.stderr
    assert run("retract", "1.9", "--reason", " ", "--config", node).exit_code == 2


def test_status_names_discrepancies(node: Path, config: Config, image: Path) -> None:
    image.unlink()
    assert told("status", "--config", node)["discrepancies"] == []  # files: by the schedule
    done = run("doctor", "--json", "--config", node)
    found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert found["rows_without_files"]["found"] == "1: instance 1"
    assert "backup" in found["rows_without_files"]["remedy"]
