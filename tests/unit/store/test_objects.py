"""The object store on a real disk."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from ra_daemon.store.objects import DiskIo, ObjectStore, intact


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "root")


def test_folders_are_private(store: ObjectStore) -> None:
    for name in ("tmp", "inbox", "objects", "engines", "run"):
        assert stat.S_IMODE((store.root / name).stat().st_mode) == 0o700


def test_a_file_goes_from_temporary_to_inbox_to_objects(store: ObjectStore) -> None:
    temp = store.write_temp()
    assert stat.S_IMODE(temp.stat().st_mode) == 0o600
    temp.write_bytes(b"image")
    inbox = store.publish_inbox(temp, "0001.dcm")
    assert not temp.exists()
    assert store.inbox_files() == [inbox]
    digest = hashlib.sha256(b"image").hexdigest()
    relative, found = store.adopt(inbox, digest, ".dcm", intact)
    assert (relative, found) == (f"objects/{digest[:2]}/{digest}.dcm", "nothing")
    assert store.adopt(inbox, digest, ".dcm", intact) == (relative, "whole")
    store.leave_inbox(inbox)
    store.leave_inbox(inbox)
    assert store.inbox_files() == []
    assert store.open_path(relative).read_bytes() == b"image"


def test_the_inbox_is_sorted_and_leaves_sidecars_out(store: ObjectStore) -> None:
    for name in ("b.dcm", "a.dcm", "a.json", ".hidden"):
        (store.inbox / name).write_bytes(b"")
    assert [p.name for p in store.inbox_files()] == ["a.dcm", "b.dcm"]


def test_a_copy_that_does_not_fit_leaves_no_part(store: ObjectStore) -> None:
    folder = store.tmp / "folder"  # cannot be linked, and opens for no copy
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        store.link_temp(folder, "copy")
    assert [p.name for p in store.tmp.iterdir()] == ["folder"]


def test_the_same_bytes_are_kept_once(store: ObjectStore) -> None:
    first = store.put_bytes(b"x", ".npz")
    assert store.put_bytes(b"x", ".npz") == first
    assert first[1] == hashlib.sha256(b"x").hexdigest()
    assert list(store.tmp.iterdir()) == []


def test_a_path_out_of_the_store_is_refused(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="out of the store"):
        store.open_path("../secret")


def test_sweeping_removes_what_a_crash_left(store: ObjectStore) -> None:
    left, given_up = store.write_temp(), store.write_temp()
    os.utime(given_up, (0, 0))
    assert store.sweep_temp() == 1  # another node may still write the other one
    assert list(store.tmp.iterdir()) == [left]
    assert store.sweep_temp(older_than_s=0) == 1
    assert store.sweep_temp(older_than_s=0) == 0


def test_sweeping_removes_notes_whose_image_has_left(store: ObjectStore) -> None:
    for name in ("1.dcm", "1.json", "2.json", "3.json"):
        (store.inbox / name).write_bytes(b"")
        if name != "3.json":
            os.utime(store.inbox / name, (0, 0))
    assert store.sweep_temp() == 1  # the image of the third is still to be published
    assert sorted(p.name for p in store.inbox.iterdir()) == ["1.dcm", "1.json", "3.json"]


def test_free_space_is_a_number_of_bytes(store: ObjectStore) -> None:
    assert store.free_bytes() > 0


def test_a_disk_without_hard_links_gets_a_copy(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    source = store.inbox / "a.dcm"
    source.write_bytes(b"image")
    relative, _ = store.adopt(source, "ab" * 32, ".dcm", intact)
    assert store.open_path(relative).read_bytes() == b"image"
    assert [p.name for p in store.open_path(relative).parent.iterdir()] == [f"{'ab' * 32}.dcm"]


def test_a_taken_name_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileExistsError):
        DiskIo().link(tmp_path / "a", tmp_path / "b")


def test_a_damaged_file_is_seen_and_written_anew(store: ObjectStore) -> None:
    relative, _ = store.put_bytes(b"report", ".dcm")
    path = store.open_path(relative)
    assert intact(path)
    path.write_bytes(b"repXrt")
    assert not intact(path)
    assert store.put_bytes(b"report", ".dcm")[0] == relative
    assert path.read_bytes() == b"report"
    named = store.tmp / "anything.dcm"
    named.write_bytes(b"")
    assert intact(named)  # a name that is no digest says nothing


@pytest.mark.parametrize("damage", [b"imXge", b"ima", b""])
def test_a_damaged_object_gives_way_to_the_same_that_comes_again(
    store: ObjectStore, damage: bytes
) -> None:
    digest = hashlib.sha256(b"image").hexdigest()
    came = [store.inbox / f"{number}.dcm" for number in range(3)]
    for path in came:
        path.write_bytes(b"image")
    kept = store.open_path(store.adopt(came[0], digest, ".dcm", intact)[0])
    store.leave_inbox(came[0])
    kept.write_bytes(damage)
    assert store.adopt(came[1], digest, ".dcm", intact)[1] == "damaged"
    assert kept.read_bytes() == b"image"
    assert kept.samefile(came[1])
    assert store.adopt(came[2], digest, ".dcm", intact)[1] == "whole"
    assert kept.samefile(came[1]), "an intact file stays"
    assert list(store.tmp.iterdir()) == []


class FullDisk(DiskIo):
    """Takes the first byte of a file and no other."""

    def write(self, path: Path, data: bytes) -> None:
        super().write(path, data[:1])
        raise OSError(28, "No space left on device")


def test_a_write_that_does_not_fit_leaves_no_part(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "root", FullDisk())
    with pytest.raises(OSError, match="No space"):
        store.put_bytes(b"report", ".dcm")
    assert list(store.tmp.iterdir()) == []
