"""Objects made to exhaust or to confuse whoever reads them: kept, refused, and nothing else."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ra_daemon.dicom import guard, read
from ra_daemon.domain import Admission, Reason
from ra_daemon.errors import UnreadableError
from ra_daemon.steps.admit import digest_file
from ra_daemon.store.objects import ObjectStore
from ra_engine.types import Radiograph
from tests.support import dicom_sources

ITEM, ITEM_END, SEQUENCE_END = (
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0" + bytes(4),
    b"\xfe\xff\xdd\xe0" + bytes(4),
)
PRIVATE = b"\x09\x00\x10\x10"
ENDLESS = b"\xff\xff\xff\xff"
STUDY = b"\x20\x00\x0d\x00UI"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "store")


@pytest.fixture
def radiograph(tmp_path: Path) -> Path:
    return dicom_sources.clean(tmp_path / "clean.dcm")


def admitted(store: ObjectStore, content: bytes) -> Admission:
    """Content as it lies in the inbox, digested; it is kept whatever it is."""
    path = store.inbox / "1.dcm"
    path.write_bytes(content)
    made = digest_file(path, store)
    assert store.open_path(made.path).read_bytes() == content
    return made


def with_private(path: Path, element: bytes) -> bytes:
    """A file with one more element before its study UID."""
    content = path.read_bytes()
    at = content.index(STUDY)
    return content[:at] + element + content[at:]


@contextmanager
def little_memory(limit_mb: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit_mb * 2**20


def test_a_huge_private_element_is_passed_over(store: ObjectStore, radiograph: Path) -> None:
    size = 96 * 2**20
    huge = PRIVATE + b"OB\0\0" + size.to_bytes(4, "little") + bytes(size)
    path = store.inbox / "1.dcm"
    path.write_bytes(with_private(radiograph, huge))
    with little_memory(16):
        made = digest_file(path, store)
    assert made.refused is None
    assert made.header == digest_file(radiograph, store).header
    assert made.pixel_sha256 == read.digests(radiograph)[1]


def test_a_million_items_are_not_parsed(store: ObjectStore, radiograph: Path) -> None:
    items = (ITEM + bytes(4)) * 1_000_000
    content = with_private(radiograph, PRIVATE + b"SQ\0\0" + ENDLESS + items + SEQUENCE_END)
    made = admitted(store, content)
    assert made.header is None
    assert made.refused is not None
    assert made.refused.reason is Reason.UNREADABLE
    assert "sequence items" in made.refused.detail


def test_a_million_elements_are_not_read(store: ObjectStore, radiograph: Path) -> None:
    element = PRIVATE[:2] + b"\x11\x10LO\0\0"
    made = admitted(store, with_private(radiograph, element * 1_000_000))
    assert made.refused is not None
    assert "elements" in made.refused.detail
    assert made.pixel_sha256 == ""


def test_items_split_between_chunks_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * ((1 << 16) - 2) + ITEM * (guard.MAX_ITEMS + 1))
    with pytest.raises(UnreadableError):
        guard.check(path)
    path.write_bytes(b"x" * ((1 << 16) - 2) + ITEM * guard.MAX_ITEMS)
    guard.check(path)


def test_sequences_within_sequences_without_end(store: ObjectStore, radiograph: Path) -> None:
    depth = 5000
    begin = (PRIVATE + b"SQ\0\0" + ENDLESS + ITEM + ENDLESS) * depth
    made = admitted(store, with_private(radiograph, begin + (ITEM_END + SEQUENCE_END) * depth))
    assert made.refused is not None
    assert made.refused.reason is Reason.UNREADABLE


def deflated(path: Path, more: int = 0) -> bytes:
    """A file as deflated explicit VR, its data set followed by so many zero bytes."""
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path.with_suffix(".deflated"), enforce_file_format=True)
    content = path.with_suffix(".deflated").read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    inner = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = [packer.compress(inner), *(packer.compress(bytes(2**20)) for _ in range(more))]
    return content[:start] + b"".join(packed) + packer.flush()


def test_a_deflate_bomb_is_not_inflated(store: ObjectStore, radiograph: Path) -> None:
    path = store.inbox / "1.dcm"
    path.write_bytes(deflated(radiograph, more=600))
    with little_memory(32):
        made = digest_file(path, store)
    assert made.refused is not None
    assert "inflated" in made.refused.detail
    plain = admitted(store, deflated(radiograph))
    assert (plain.refused, plain.header is None) == (None, False)
    assert isinstance(read.decode(store.open_path(plain.path)), Radiograph)


@pytest.mark.parametrize("encoded", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(
    "claimed",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        "1.2.840.10008.1.2.4.90",
        "1.2.3.4",
    ],
)
@pytest.mark.filterwarnings("ignore:Expected")
def test_a_wrong_transfer_syntax_harms_nobody(
    store: ObjectStore, radiograph: Path, encoded: str, claimed: str
) -> None:
    ds = dcmread(radiograph)
    ds.file_meta.TransferSyntaxUID = encoded
    ds.save_as(radiograph)
    content = radiograph.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    ds.file_meta.TransferSyntaxUID = claimed
    meta = store.tmp / "meta"
    from pydicom.filewriter import write_file_meta_info

    with meta.open("wb") as stream:
        stream.write(bytes(128) + b"DICM")
        write_file_meta_info(stream, ds.file_meta)
    made = admitted(store, meta.read_bytes() + content[start:])
    if claimed == encoded:
        assert made.refused is None
        assert made.pixel_sha256
    assert made.header is not None or made.refused is not None
    if made.refused is None:  # the scorer process meets it next
        try:
            read.decode(store.open_path(made.path))
        except UnreadableError:
            return


def test_text_that_no_database_takes_is_cleaned(store: ObjectStore, radiograph: Path) -> None:
    ds = dcmread(radiograph)
    ds.PatientID = "P" * 64
    ds.StudyDescription = "S" * 64
    ds.save_as(radiograph)
    dirty = (
        radiograph.read_bytes()
        .replace(b"P" * 64, b"P\0" * 32)
        .replace(b"S" * 64, b"\xed\xa0\x80S" * 16)
    )
    header = admitted(store, dirty).header
    assert header is not None
    assert header.patient_id == "P" * 32
    header.study_description.encode()


def test_an_identifier_beyond_its_length_is_refused(store: ObjectStore, radiograph: Path) -> None:
    ds = dcmread(radiograph)
    uid = str(ds.SOPInstanceUID)
    long = b"\x08\x00\x18\x00UI" + (3000).to_bytes(2, "little") + b"1." * 1500
    content = radiograph.read_bytes()
    at = content.index(b"\x08\x00\x18\x00UI")
    end = at + 8 + len(uid) + len(uid) % 2
    made = admitted(store, content[:at] + long + content[end:])
    assert made.refused is not None
    assert "64" in made.refused.detail


def test_a_cut_object_is_refused_under_its_own_name(store: ObjectStore, radiograph: Path) -> None:
    ds = dcmread(radiograph)
    made = admitted(store, radiograph.read_bytes()[:-5000])
    assert made.refused is not None
    assert made.refused.reason is Reason.UNREADABLE
    assert made.header is not None, "a refusal without a patient is one that nobody finds"
    assert made.header.sop_instance_uid == ds.SOPInstanceUID
    assert made.header.patient_id == ds.PatientID
    noise = admitted(store, bytes(range(256)) * 20)
    assert (noise.header, noise.refused is None) == (None, False)
