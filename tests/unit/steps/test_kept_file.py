"""Which kept file stays when the same image comes again: one that is read as it was received."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.dicom import read
from ra_daemon.steps import admit
from ra_daemon.store.objects import ObjectStore
from ra_engine.types import Radiograph
from tests.support.dicom_sources import clean


@pytest.fixture
def came(tmp_path: Path) -> Path:
    return clean(tmp_path / "image.dcm")


def reread(path: Path, old: bytes, new: bytes) -> None:
    """Damage the file meta."""
    data = path.read_bytes()
    assert old in data[:400]
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"),  # the transfer syntax
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.6.1\0"),
        (b"\x02\0\x10\0UI\x14\0", b"\x02\0\x10\0UI\x24\0"),  # its length
        (b"DICM", b"DICN"),
    ],
)
def test_a_kept_file_whose_meta_is_damaged_gives_way_to_the_same_image(
    came: Path, tmp_path: Path, old: bytes, new: bytes
) -> None:
    store = ObjectStore(tmp_path / "root")
    first = admit.digest_file(came, store)
    kept = store.open_path(first.path)
    kept.unlink()
    kept.write_bytes(came.read_bytes())  # else both names are one file
    assert admit.digest_file(came, store).found == "whole"
    reread(kept, old, new)
    again = admit.digest_file(came, store)
    assert (again.found, again.path) == ("damaged", first.path)
    assert isinstance(read.decode(kept), Radiograph)
    assert admit.digest_file(came, store).found == "whole"


def test_a_file_meta_of_another_sender_is_no_damage(came: Path, tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "root")
    admit.digest_file(came, store)
    ds = dcmread(came)
    ds.file_meta.ImplementationVersionName = "ANOTHER"
    ds.file_meta.SourceApplicationEntityTitle = "PACS"
    other = tmp_path / "other.dcm"
    ds.save_as(other)
    assert admit.digest_file(other, store).found == "whole"
