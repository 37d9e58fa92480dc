"""The receiver alone: store then acknowledge, allow-list, silent peers, what is not DICOM."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from ra_daemon.config import Config, Node, Peer, Store
from ra_daemon.dicom.inbox import read_origin
from ra_daemon.dicom.scp import run_receiver
from ra_daemon.sop_classes import STORAGE_CLASSES
from ra_daemon.store.objects import ObjectStore
from tests.support import dicom_sources
from tests.support.processes import free_port, listening, wait_until
from tests.support.receiver import associate, receiving, site

AE_TITLE = "RA_DAEMON"
JPEG_XL = UID("1.2.840.10008.1.2.4.112")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A receiver in a process of its own that knows the peer PACS on loopback."""
    made = Config(
        store=Store(root=tmp_path / "store", reserve_gb=0.01),
        node=Node(host="127.0.0.1", port=free_port(), negotiation_timeout_s=2.0),
        peer=(Peer(name="pacs", ae_title="PACS", port=104),),
    )
    ObjectStore(made.root)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_receiver, args=(made, stop, theirs), daemon=True)
    process.start()
    assert ours.poll(30)
    assert ours.recv() == "listening"
    wait_until(lambda: listening(made.node.port), 10)
    yield made
    stop.set()
    process.join(20)
    assert process.exitcode == 0


def echo(config: Config, calling: str) -> bool:
    ae = AE(calling)
    ae.add_requested_context(Verification)
    ae.acse_timeout = 10
    association = ae.associate("127.0.0.1", config.node.port, ae_title=AE_TITLE)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status) and status.Status == 0


def store(config: Config, path: Path, called: str = "RA_DAEMON") -> int:
    ds = dcmread(path)
    ae = AE("PACS")
    ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", config.node.port, ae_title=called)
    assert association.is_established
    status = association.send_c_store(ds)
    association.release()
    return int(status.Status)


def test_what_is_acknowledged_is_in_the_inbox_with_its_origin(
    config: Config, tmp_path: Path
) -> None:
    source = dicom_sources.clean(tmp_path / "a.dcm")
    assert store(config, source) == 0x0000
    (kept,) = ObjectStore(config.root).inbox_files()
    assert dcmread(kept).PixelData == dcmread(source).PixelData
    origin = read_origin(kept)
    assert (origin.calling_ae, origin.called_ae, origin.address) == (
        "PACS",
        AE_TITLE,
        "127.0.0.1",
    )
    wait_until(lambda: not list((config.root / "tmp").iterdir()), 10)


def test_a_node_of_several_titles_keeps_the_one_that_was_called(tmp_path: Path) -> None:
    config = site(tmp_path / "store", more_titles=("RA_TRIAL",))
    source = dicom_sources.clean(tmp_path / "a.dcm")
    with receiving(config):
        for title in (AE_TITLE, "RA_TRIAL"):
            assert store(config, source, called=title) == 0x0000
        ae = AE("PACS")
        ae.add_requested_context(Verification)
        other = ae.associate("127.0.0.1", config.node.port, ae_title="RA_OTHER")
        assert other.is_rejected
    kept = ObjectStore(config.root).inbox_files()
    assert {read_origin(k).called_ae for k in kept} == {AE_TITLE, "RA_TRIAL"}


def test_of_several_syntaxes_one_that_is_decoded_is_taken(config: Config) -> None:
    ae = AE("PACS")
    ae.add_requested_context(
        ComputedRadiographyImageStorage, [JPEG_XL, MPEG2MPML, ExplicitVRLittleEndian]
    )
    ae.add_requested_context(SecondaryCaptureImageStorage, [JPEG_XL])
    association = ae.associate("127.0.0.1", config.node.port, ae_title=AE_TITLE)
    taken = [(c.abstract_syntax, c.transfer_syntax) for c in association.accepted_contexts]
    rejected = [(c.abstract_syntax, c.result) for c in association.rejected_contexts]
    association.release()
    assert taken == [(ComputedRadiographyImageStorage, [ExplicitVRLittleEndian])]
    assert rejected == [(SecondaryCaptureImageStorage, 0x04)]


def test_only_known_peers_may_call(config: Config) -> None:
    assert echo(config, "PACS")
    assert not echo(config, "STRANGER")
    assert echo(config, "PACS")


def test_silent_peers_block_nobody(config: Config) -> None:
    silent = [socket.create_connection(("127.0.0.1", config.node.port)) for _ in range(20)]
    try:
        started = time.monotonic()
        assert echo(config, "PACS")
        assert time.monotonic() - started < 3
    finally:
        for link in silent:
            link.close()


def test_many_associations_at_once(config: Config, tmp_path: Path) -> None:
    sources = [dicom_sources.clean(tmp_path / f"{i}.dcm", seed=30 + i) for i in range(16)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda p=p: answers.append(store(config, p))) for p in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [0] * 16
    assert len(ObjectStore(config.root).inbox_files()) == 16


def test_sixteen_associations_stand_open_together(config: Config) -> None:
    held = [associate(config) for _ in range(16)]
    try:
        assert all(a.is_established for a in held)
        assert [a.send_c_echo().Status for a in held] == [0x0000] * 16
        assert all(a.is_established for a in held)
    finally:
        for association in held:
            association.release()


def anything(sop_class: str, syntax: str, uid: str) -> Dataset:
    """An object that nobody could decode: receiving must not look into it."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID = "1.3"
    if UID(syntax).is_compressed:
        ds.PixelData = encapsulate([uid.encode().ljust(64, b"\xab")])
    else:
        ds.PixelData = uid.encode().ljust(64, b"\xab")
    ds["PixelData"].VR = "OB"
    return ds


SYNTAXES = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit, JPEGExtended12Bit),
    *(JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless),
    *(JPEG2000, HTJ2KLossless, HTJ2K, HTJ2KLosslessRPCL),
)


def test_the_table_holds_the_classes_that_hospitals_send() -> None:
    assert sorted(STORAGE_CLASSES) == sorted(
        {
            ComputedRadiographyImageStorage,
            DigitalXRayImageStorageForPresentation,
            DigitalXRayImageStorageForProcessing,
            MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
            MultiFrameTrueColorSecondaryCaptureImageStorage,
            SecondaryCaptureImageStorage,
        }
    )


@pytest.mark.parametrize("sop_class", STORAGE_CLASSES, ids=lambda uid: UID(uid).keyword)
def test_every_class_is_taken_in_every_syntax(config: Config, sop_class: str) -> None:
    ae = AE("PACS")
    for syntax in SYNTAXES:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", config.node.port, ae_title=AE_TITLE)
    assert association.is_established
    taken = {str(c.transfer_syntax[0]) for c in association.accepted_contexts}
    assert taken == {str(s) for s in SYNTAXES}
    sent = {f"1.2.{n}": syntax for n, syntax in enumerate(SYNTAXES, 1)}
    answers = {
        uid: association.send_c_store(anything(sop_class, syntax, uid)).Status
        for uid, syntax in sent.items()
    }
    association.release()
    assert answers == dict.fromkeys(sent, 0x0000)
    kept = [dcmread(p) for p in ObjectStore(config.root).inbox_files()]
    assert {str(d.SOPInstanceUID): d.file_meta.TransferSyntaxUID for d in kept} == sent
    assert {str(d.SOPClassUID) for d in kept} == {str(sop_class)}
    # The content as it was sent, not transcoded, not cut.
    assert all(str(d.SOPInstanceUID).encode() in d.PixelData for d in kept)
