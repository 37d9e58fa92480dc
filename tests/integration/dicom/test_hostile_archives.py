"""Archives that stop listening, objects of ours that are gone: no delivery hangs, none waits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import SecondaryCaptureImageStorage  # type: ignore[attr-defined]

from ra_daemon.config import Config, Delivering, Peer
from ra_daemon.domain import Delivered, Delivery, Parked, Postponed
from ra_daemon.steps import deliver
from tests.support.frozen import serve_frozen
from tests.support.processes import free_port, listening, wait_until
from tests.support.site import sink_pacs


@pytest.fixture
def frozen() -> Iterator[int]:
    port = free_port()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve_frozen, args=(port,), daemon=True)
    process.start()
    wait_until(lambda: listening(port), 30)
    yield port
    process.kill()
    process.join(10)


def capture(path: Path, uid: str, size: int = 2**10) -> Path:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.PixelData = bytes(size)
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def delivery(path: Path, uid: str, number: int = 1, *, was_sending: bool = False) -> Delivery:
    return Delivery(
        delivery_id=number,
        object_path=path,
        sop_class_uid=SecondaryCaptureImageStorage,
        sop_instance_uid=uid,
        study_instance_uid="1.3",
        destination="archive",
        attempt=1,
        demonstration=False,
        was_sending=was_sending,
    )


def site(port: int, ae_title: str) -> tuple[Config, Peer]:
    peer = Peer(name="archive", ae_title=ae_title, port=port)
    return Config(delivery=Delivering(timeout_s=3.0), peer=(peer,)), peer


@pytest.mark.timeout(60)
def test_an_archive_that_reads_no_more_holds_nothing_up(frozen: int, tmp_path: Path) -> None:
    config, peer = site(frozen, "FROZEN")
    big = capture(tmp_path / "big.dcm", "1.2.1", 64 * 2**20)
    items = [delivery(big, "1.2.1"), delivery(capture(tmp_path / "b.dcm", "1.2.2"), "1.2.2", 2)]
    outcomes = [outcome for _, outcome in deliver.deliver(config, peer, items)]
    assert [type(o) for o in outcomes] == [Postponed, Postponed]


def test_an_object_that_is_gone_is_parked_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    with sink_pacs(tmp_path / "pacs") as sink:
        config, peer = site(sink.port, sink.ae_title)
        items = [
            delivery(tmp_path / "gone.dcm", "1.2.1", 1),
            delivery(capture(tmp_path / "a.dcm", "1.2.2"), "1.2.2", 2),
            delivery(broken, "1.2.3", 3),
        ]
        told = {d.delivery_id: o for d, o in deliver.deliver(config, peer, items)}
        assert sink.instances() == {"1.2.2"}
    assert isinstance(told[1], Parked)
    assert isinstance(told[2], Delivered)
    assert isinstance(told[3], Parked)
    assert "gone" not in told[1].cause


def test_after_a_crash_in_mid_send_the_archive_is_asked_first(tmp_path: Path) -> None:
    with sink_pacs(tmp_path / "pacs") as sink:
        config, peer = site(sink.port, sink.ae_title)
        paths = {uid: capture(tmp_path / f"{uid}.dcm", uid) for uid in ("1.2.1", "1.2.2")}
        first = delivery(paths["1.2.1"], "1.2.1")
        assert [o for _, o in deliver.deliver(config, peer, [first])] == [Delivered(status=0)]
        again = [delivery(p, uid, n, was_sending=True) for n, (uid, p) in enumerate(paths.items())]
        told = [outcome for _, outcome in deliver.deliver(config, peer, again)]
        # What it holds is not sent twice; what it lacks is sent.
        assert told == [Delivered(status=0, already_there=True), Delivered(status=0)]
        assert [k.sop_instance for k in sink.kept] == ["1.2.1", "1.2.2"]


def test_an_archive_that_cannot_be_asked_gets_the_same_bytes_again(tmp_path: Path) -> None:
    with sink_pacs(tmp_path / "pacs") as sink:
        config, peer = site(sink.port, sink.ae_title)
        peer = peer.model_copy(update={"query": False})
        item = delivery(capture(tmp_path / "a.dcm", "1.2.1"), "1.2.1", was_sending=True)
        for _ in range(2):
            (outcome,) = [o for _, o in deliver.deliver(config, peer, [item])]
            assert outcome == Delivered(status=0)
        assert len(sink.kept) == 2
        assert {uid: len(v) for uid, v in sink.versions().items()} == {"1.2.1": 1}
