"""A backup comes back as it was; a changed one does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_daemon.domain import Reason, Refused
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from tests.support import verdicts

SQL = "select sop_instance_uid, reason_code from v1_refusals"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def copy(node: Path, config: Config, tmp_path: Path) -> Path:
    """A backup of a node that refused one image and holds one object."""
    engine = open_engine(config.database_url)
    made = verdicts.admission("1.2.3.1")
    verdicts.record(engine, JobQueue(engine), made, Refused(reason=Reason.CAST))
    engine.dispose()
    (config.root / "objects" / "ab").mkdir(parents=True)
    (config.root / "objects" / "ab" / "x.dcm").write_bytes(b"late")
    (config.root / made.path).parent.mkdir(parents=True)
    (config.root / made.path).write_bytes(b"pixels")
    folder = tmp_path / "copy"
    done = run("backup", folder, "--config", node)
    assert done.exit_code == 0, done.output
    return folder


def test_rows_and_files_come_back(node: Path, copy: Path, tmp_path: Path) -> None:
    site = tmp_path / "other"
    site.mkdir()
    (site / "ra-daemon.toml").write_text(node.read_text())
    done = run("restore", copy, "--config", site / "ra-daemon.toml")
    assert done.exit_code == 0, done.output
    assert (site / "data" / verdicts.admission("1.2.3.1").path).read_bytes() == b"pixels"
    # It came after the copy of the database: admitted again, not lost.
    assert (site / "data" / "inbox" / "x.dcm").read_bytes() == b"late"
    rows = [
        json.loads(run("query", SQL, "--json", "--config", path).stdout)
        for path in (node, site / "ra-daemon.toml")
    ]
    assert rows[0] == rows[1] == [{"sop_instance_uid": "1.2.3.1", "reason_code": "cast"}]


def test_a_root_in_use_is_not_overwritten(node: Path, copy: Path) -> None:
    assert run("restore", copy, "--config", node).exit_code == 3


def test_a_folder_in_use_takes_no_backup(node: Path, copy: Path) -> None:
    assert run("backup", copy, "--config", node).exit_code == 3


@pytest.mark.parametrize("change", ["alter", "remove", "add"])
def test_a_changed_backup_is_refused(copy: Path, change: str) -> None:
    assert run("restore", copy, "--verify").exit_code == 0
    target = copy / "objects" / "ab" / "x.dcm"
    if change == "alter":
        target.write_bytes(b"other")
    elif change == "remove":
        target.unlink()
    else:
        target.with_name("y.dcm").write_bytes(b"")
    done = run("restore", copy, "--verify")
    assert done.exit_code == 5
    assert "differ" in done.stderr
