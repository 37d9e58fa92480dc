"""What people get wrong: two lines and a remedy, never a traceback; the status says whose fault."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ra_daemon import faults
from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_daemon.errors import DatabaseLostError, DiskFullError, FileSystemError
from ra_daemon.store import query
from ra_daemon.store.objects import ObjectStore
from tests.support.processes import free_port


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def told(done: Result, status: int, *words: str) -> None:
    """Two lines on standard error and this exit status."""
    assert done.exit_code == status, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Error: ")
    assert lines[-1].startswith("Hint: ")
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A folder that nobody can make: its parent is a file (root may write anywhere else)."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def configured(folder: Path, store: str) -> Path:
    path = folder / "ra-daemon.toml"
    path.write_text(f"[store]\n{store}\n[node]\nport = {free_port()}\n")
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("score", __file__, "--out"),
        ("demo", "--no-serve", "--out"),
    ],
)
def test_a_folder_that_cannot_be_made(no_folder: Path, words: tuple[str, ...]) -> None:
    told(run(*words, no_folder), 1, "Not a directory", str(no_folder))


def test_a_backup_and_a_table_that_cannot_be_written(node: Path, no_folder: Path) -> None:
    told(run("backup", no_folder, "--config", node), 1, "Not a directory")
    words = ("query", "SELECT 1 AS n", "--parquet", no_folder / "x.parquet", "--config", node)
    told(run(*words), 1, "Not a directory")


@pytest.mark.parametrize("words", [("start",), ("db", "upgrade"), ("config", "check")])
@pytest.mark.parametrize("below", [True, False])
def test_a_root_that_cannot_be_made(
    tmp_path: Path, no_folder: Path, words: tuple[str, ...], *, below: bool
) -> None:
    root = no_folder if below else no_folder.parent
    config = configured(tmp_path, f"root = {str(root)!r}")
    told(run(*words, "--config", config), 3, "store.root", f"{no_folder.parent} is no folder")


@pytest.mark.parametrize(
    "words",
    [
        ("start",),
        ("db", "upgrade"),
        ("db", "check"),
        ("status",),
        ("jobs", "list"),
        ("query", "SELECT * FROM v1_jobs"),
        ("cohort", "export", "--visits", "visits.csv", "--out", "out"),
    ],
)
def test_a_server_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("visits.csv").write_text("subject,visit,accession_number\n1,BL,A1\n")
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"
    config = configured(tmp_path, f'root = "s"\nurl = "{url}"')
    told(run(*words, "--config", config), 5, "does not answer", "store.url")


@pytest.mark.parametrize(
    "words", [("start",), ("status",), ("db", "check"), ("query", "SELECT * FROM v1_jobs")]
)
def test_a_damaged_sqlite_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = configured(tmp_path, 'root = "s"')
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "ra-daemon.db").write_bytes(bytes(range(256)) * 64)
    told(run(*words, "--config", config), 5, "damaged", "ra-daemon restore")


@pytest.fixture
def lost(node: Path, config: Config) -> Path:
    """A node that has kept an image and whose SQLite file is gone."""
    ObjectStore(config.root).put_bytes(b"image", ".dcm")
    (config.root / "ra-daemon.db").unlink()
    return node


@pytest.mark.parametrize(
    "words",
    [
        ("start",),
        ("db", "upgrade"),
        ("models", "activate", "demo"),
        ("status",),
        ("query", "SELECT * FROM v1_jobs"),
    ],
)
def test_objects_whose_database_is_lost(lost: Path, config: Config, words: tuple[str, ...]) -> None:
    told(
        run(*words, "--config", lost), 5, "database is gone", "backup", "store.url", "objects/ away"
    )
    assert not (config.root / "ra-daemon.db").exists()  # nothing stands in a restore's way


@pytest.mark.parametrize("words", [("start",), ("db", "upgrade"), ("status",)])
def test_objects_beside_an_empty_database(
    lost: Path, config: Config, words: tuple[str, ...]
) -> None:
    (config.root / "ra-daemon.db").touch()
    told(
        run(*words, "--config", lost), 5, "database is gone", "backup", "store.url", "objects/ away"
    )


def test_doctor_tells_that_the_database_is_lost(lost: Path) -> None:
    done = run("doctor", "--config", lost, "--json")
    found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 1
    assert not found["database"]["ok"]
    assert "database is gone" in found["database"]["found"]
    assert found["database"]["remedy"] == DatabaseLostError.hint


def test_images_that_wait_are_no_sign_of_a_lost_database(node: Path, config: Config) -> None:
    """They are admitted into a new one; so are the folders of objects that were purged."""
    objects = ObjectStore(config.root)
    path, _ = objects.put_bytes(b"image", ".dcm")
    objects.remove([path])
    (objects.inbox / "1.dcm").write_bytes(b"image")
    (config.root / "ra-daemon.db").unlink()
    assert run("db", "upgrade", "--config", node).exit_code == 0
    (config.root / "ra-daemon.db").unlink()
    done = run("doctor", "--config", node, "--json")
    found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert found["database"]["ok"]


@pytest.mark.parametrize("what", ["server", "file"])
def test_doctor_goes_on_without_a_database(tmp_path: Path, what: str) -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none" if what == "server" else ""
    config = configured(tmp_path, f'root = "s"\nurl = "{url}"')
    config.chmod(0o600)
    if what == "file":
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / "ra-daemon.db").write_bytes(bytes(range(256)) * 64)
    checks = json.loads(run("doctor", "--config", config, "--json").stdout)["checks"]
    found = {c["name"]: c for c in checks}
    assert not found["database"]["ok"]
    assert found["database"]["remedy"].startswith("Start its" if what == "server" else "Move it")
    assert "\n" not in found["database"]["found"]
    assert found["bundle"]["ok"]  # the other checks are made


def test_what_is_no_dicom_is_not_sent(node: Path) -> None:
    told(run("send", "main", __file__, "--config", node), 1, "no DICOM file", "dcmdump")


@pytest.mark.timeout(60)
def test_what_is_no_file_is_a_fault_of_use(node: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none.dcm", "/dev/null"):
        done = run("send", "main", path, "--config", node)
        assert done.exit_code == 2, done.output
        assert str(path) in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('[store]\nurl = "mysql://x/y"', "mysql is not supported"),
        ('[store]\nurl = "no url"', "cannot be read"),
        ('[[route]]\nname = "a"\nscorers = ["svhd"]', "no usable scorer 'svhd'"),
        ('[[route]]\nname = "a"\ncalled_ae = "RA_TRIAL"', "add it to node.more_titles"),
        (
            (
                '[[peer]]\nname = "p"\nae_title = "P"\n[[route]]\nname = "a"\ncalling_ae = "Q"\n'
                'destinations = ["p"]'
            ),
            "calling_ae 'Q' fits no peer that may send to us (P)",
        ),
        (
            (
                '[[peer]]\nname = "p"\nae_title = "P"\nhost = "192.0.2.1"\n'
                "allow_demonstration_until = 2020-01-31"
            ),
            "allow_demonstration_until 2020-01-31 is past; set a later day",
        ),
        (
            '[[peer]]\nname = "cr"\nae_title = "CR"\nsend = false\n[[route]]\nname = "a"',
            "deliver = 'send' without destinations",
        ),
        (
            (
                '[[peer]]\nname = "p"\nae_title = "P"\n[[route]]\nname = "a"\n'
                'destinations = ["p", "p"]'
            ),
            "destinations has 'p' twice; remove one",
        ),
        ('[engine]\nbackends = ["onnxrutime:int8"]', "no backend 'onnxrutime'"),
        ('[scoring]\nbundle = "dmeo"', "No bundle 'dmeo'"),
    ],
)
def test_config_check_names_what_is_not_there(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text(line)
    told(run("config", "check", "--config", path), 3, said)


def test_config_check_does_not_send_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text("[node]\nport = 99999\n")
    done = run("config", "check", "--config", path)
    told(done, 3, "node.port", "docs/configuration.md")
    assert "config check" not in done.stderr
    told(run("config", "show", "--config", path), 3, "config check")


def test_a_full_disk_and_a_closed_folder_have_other_remedies() -> None:
    full = faults.translated(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x"))
    closed = faults.translated(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"))
    assert isinstance(full, DiskFullError)
    assert isinstance(closed, FileSystemError)
    assert "Free space" in full.hint
    assert "this user" in closed.hint


class DiskFull(sqlite3.OperationalError):
    """Named as psycopg names SQLSTATE 53100."""


@pytest.mark.parametrize(
    "cause", [sqlite3.OperationalError("database or disk is full"), DiskFull("could not extend")]
)
def test_a_database_on_a_full_disk_has_the_code_of_a_full_disk(cause: Exception) -> None:
    told = faults.of_database(cause)
    assert isinstance(told, DiskFullError)
    assert "full" in str(told)


def test_a_disk_that_fails_under_sqlite_is_told_so() -> None:
    assert "df on store.root" in faults.of_database(sqlite3.OperationalError("disk I/O error")).hint


def test_a_locked_sqlite_file_is_no_fault_of_a_query() -> None:
    locked = sqlite3.OperationalError("database is locked")
    assert "holds it" in faults.of_database(locked).hint
    assert query._refused(locked).hint == faults.of_database(locked).hint
    assert "limit 1" in query._refused(sqlite3.OperationalError("no such table: v1_x")).hint


def test_faults_of_the_program_keep_their_traceback() -> None:
    assert faults.translated(KeyError("x")) is None
    assert faults.translated(BrokenPipeError()) is None


def test_a_driver_s_text_about_values_is_not_repeated() -> None:
    made = faults.of_database(sqlite3.IntegrityError("duplicate ZQX"))
    assert "ZQX" not in str(made)


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "show", "9" * 20),
        ("jobs", "retry", "9" * 20),
        ("jobs", "retry", "--delivery", "9" * 20),
        ("jobs", "cancel", "9" * 20),
        ("jobs", "give-up", "9" * 20, "--reason", "x"),
        ("legal-hold", "lift", "9" * 20, "--reason", "x"),
        ("purge", "--older-than", "999999999"),
    ],
)
def test_a_number_that_no_database_holds_is_a_fault_of_use(
    node: Path, words: tuple[str, ...]
) -> None:
    done = run(*words, "--config", node)
    assert done.exit_code == 2
    assert "is not in the range" in done.stderr


def test_a_folder_that_is_no_backup(node: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("restore", tmp_path / "empty", "--verify", "--config", node)
    told(done, 5, "has no readable MANIFEST.json", "folder of a backup")
