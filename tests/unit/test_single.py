"""Which nodes may share a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_daemon import single
from ra_daemon.errors import StoreError

ALL = frozenset({"receive", "score", "deliver", "web"})


def test_an_sqlite_store_has_one_node(tmp_path: Path) -> None:
    held = single.hold(tmp_path, ALL, shared=False)
    with pytest.raises(StoreError, match="Another node"):
        single.hold(tmp_path, frozenset({"score"}), shared=False)
    for lock in held:
        lock.close()
    assert single.hold(tmp_path, frozenset({"score"}), shared=False)


def test_nodes_share_a_store_but_not_its_inbox(tmp_path: Path) -> None:
    held = single.hold(tmp_path, ALL, shared=True)
    pid = (tmp_path / "run" / "ra-daemon.pid").read_text()
    assert single.hold(tmp_path, frozenset({"score"}), shared=True) == []
    for part in ("receive", "deliver"):
        with pytest.raises(StoreError, match="Another node"):
            single.hold(tmp_path, frozenset({part, "score"}), shared=True)
    assert (tmp_path / "run" / "ra-daemon.pid").read_text() == pid
    assert len(held) == 2


def test_a_folder_that_cannot_be_written_is_no_other_node(tmp_path: Path) -> None:
    (tmp_path / "run" / "lock").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        single.hold(tmp_path, ALL, shared=False)
