"""A backup of PostgreSQL comes back as it was, into an empty database only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ra_daemon.cli import main
from ra_daemon.domain import Reason, Refused
from ra_daemon.store import holds
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from tests.support import verdicts
from tests.support.databases import postgres_database, postgres_url
from tests.support.peers import require_tool

__all__ = ["postgres_url"]

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]
SQL = "select sop_instance_uid, reason_code from v1_refusals"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def site(folder: Path, url: str) -> Path:
    folder.mkdir()
    path = folder / "ra-daemon.toml"
    path.write_text(f"[store]\nurl = {json.dumps(url)}\n")
    return path


@pytest.fixture
def databases(postgres_url: str) -> Iterator[tuple[str, str]]:
    require_tool("pg_dump", "postgresql-client")
    with postgres_database(postgres_url) as one, postgres_database(postgres_url) as two:
        yield one, two


@pytest.fixture
def first(databases: tuple[str, str], tmp_path: Path) -> Path:
    """A node with one refused image, one audit row and one file."""
    config = site(tmp_path / "first", databases[0])
    engine = open_engine(databases[0])
    upgrade(engine)
    made = verdicts.admission("1.2.3.1")
    verdicts.record(engine, JobQueue(engine), made, Refused(reason=Reason.CAST))
    holds.add(engine, "patient", "P1", who="dpo", reason="c7")
    engine.dispose()
    path = tmp_path / "first" / "data" / made.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"pixels")
    return config


def test_rows_files_and_audit_come_back(
    databases: tuple[str, str], first: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    done = run("backup", copy, "--config", first)
    assert done.exit_code == 0, done.output
    assert run("restore", copy, "--verify").exit_code == 0
    second = site(tmp_path / "second", databases[1])
    done = run("restore", copy, "--config", second)
    assert done.exit_code == 0, done.output
    path = second.parent / "data" / verdicts.admission("1.2.3.1").path
    assert path.read_bytes() == b"pixels"
    rows = [run("query", SQL, "--json", "--config", c).stdout for c in (first, second)]
    assert rows[0] == rows[1]
    assert json.loads(rows[0]) == [{"sop_instance_uid": "1.2.3.1", "reason_code": "cast"}]
    assert run("db", "check", "--config", second).exit_code == 0
    again = run("restore", copy, "--config", second)
    assert again.exit_code == 3
    assert "tables" in again.stderr


def test_a_backup_of_the_other_kind_is_refused(first: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert run("backup", copy, "--config", first).exit_code == 0
    lite = tmp_path / "lite" / "ra-daemon.toml"
    lite.parent.mkdir()
    lite.write_text("")
    done = run("restore", copy, "--config", lite)
    assert done.exit_code == 3
    assert "not one of SQLite" in done.stderr


def test_without_the_client_the_remedy_is_named(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("backup", tmp_path / "copy", "--config", first)
    assert done.exit_code == 5
    assert "postgresql-client" in done.stderr
