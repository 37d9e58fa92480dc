"""Opening databases: what is refused, and how SQLite is set up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ra_daemon.errors import StoreError
from ra_daemon.store import engine as module
from ra_daemon.store.engine import address_of, file_system, open_engine, read_only, reading


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:"),
        "postgresql://ra:secret@db:five/ra",
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    for command in (open_engine, address_of):  # a start, and config check
        with pytest.raises(StoreError) as caught:
            command(url)
        assert "sqlite:///PATH" in caught.value.hint
        assert "secret" not in str(caught.value)


def test_sqlite_is_durable(tmp_path: Path) -> None:
    opened = open_engine(f"sqlite:///{tmp_path / 'new' / 'x.db'}")
    with opened.connect() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    opened.dispose()


def test_others_may_not_read_the_files(tmp_path: Path) -> None:
    opened = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with opened.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE t (x)")
        files = sorted(tmp_path.iterdir())
        assert [f.name for f in files] == ["x.db", "x.db-shm", "x.db-wal"]
        assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    opened.dispose()


def test_a_reader_does_not_wait_for_the_writer(tmp_path: Path) -> None:
    opened = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with opened.begin() as writer:
        writer.exec_driver_sql("CREATE TABLE t (x)")
        with reading(opened) as reader:
            assert reader.exec_driver_sql("SELECT COUNT(*) FROM sqlite_master").scalar() == 0
    opened.dispose()


def test_sqlite_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "file_system", lambda _path: "nfs4")
    with pytest.raises(StoreError, match="network file system"):
        open_engine(f"sqlite:///{tmp_path / 'x.db'}")


def test_the_file_system_of_a_folder_is_known() -> None:
    assert file_system(Path("/proc/self")) == "proc"


def test_a_missing_database_is_not_created_by_reading(tmp_path: Path) -> None:
    from ra_daemon.store.query import run_query

    with pytest.raises(StoreError):
        run_query(f"sqlite:///{tmp_path / 'none.db'}", "SELECT 1 FROM v1_results")
    assert list(tmp_path.iterdir()) == []
    read_only(f"sqlite:///{tmp_path / 'none.db'}").dispose()
