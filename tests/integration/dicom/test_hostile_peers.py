"""Peers that are silent, endless, too big, too many, or gone in the middle harm nobody else."""

from __future__ import annotations

import errno
import io
import select
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    DigitalXRayImageStorageForPresentation as Dx,
)
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from ra_daemon.config import Config, Store
from ra_daemon.dicom.scp import (
    CANNOT_UNDERSTAND,
    OUT_OF_RESOURCES,
    SUCCESS,
    Receiver,
    run_receiver,
)
from ra_daemon.dicom.spool import Spool
from ra_daemon.dicom.transport import MAX_RECEIVED_PDU
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tally import REFUSED, Tally, totals
from tests.support import dicom_sources
from tests.support.processes import wait_until
from tests.support.receiver import (
    ABORT,
    ACCEPT,
    associate,
    cannot_judge,
    echo,
    in_little_room,
    p_data,
    raw,
    read_pdu,
    receiving,
    request_pdu,
    resident_mb,
    site,
    slow_to_begin,
    store,
    threads,
)
from tests.support.site import phantoms

UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return site(tmp_path / "store", network_timeout_s=3.0)


@pytest.fixture
def pid(config: Config) -> Iterator[int]:
    with receiving(config) as number:
        yield number


def refused(config: Config) -> dict[str, int]:
    return totals(config.root, REFUSED)


def established(config: Config) -> socket.socket:
    """A raw association that may store DX."""
    link = raw(config)
    link.sendall(request_pdu(Dx, ExplicitVRLittleEndian))
    assert read_pdu(link)[0] == ACCEPT
    return link


def store_command(*, alone: bool = False) -> bytes:
    """The encoded command set of a C-STORE request; ``alone`` says that no data set follows it."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = Dx
    request.AffectedSOPInstanceUID = UID
    request.Priority = 2
    request.DataSet = None if alone else io.BytesIO(b"\0")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    (first, *_rest) = list(message.encode_msg(1, 16382))
    return bytes(first.presentation_data_value_list[0][1][1:])


def left_over(config: Config) -> list[Path]:
    return list((config.root / "tmp").iterdir())


@pytest.mark.parametrize("kind", [0x01, 0x04])
def test_a_pdu_above_one_mebibyte_is_refused_unread(config: Config, pid: int, kind: int) -> None:
    link = raw(config) if kind == 0x01 else established(config)
    before = resident_mb(pid)
    link.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFFF))
    assert read_pdu(link)[0] == ABORT
    assert read_pdu(link)[0] == 0
    wait_until(lambda: refused(config) == {"pdu_too_long": 1}, 5)
    assert resident_mb(pid) < before + 50
    assert echo(config)


def test_a_request_without_a_data_set_is_not_asked_for_again(config: Config, pid: int) -> None:
    link = established(config)
    link.sendall(p_data(store_command(alone=True), command=True, last=True))
    kind, answer = read_pdu(link)
    status = struct.pack("<HHLH", 0x0000, 0x0900, 2, CANNOT_UNDERSTAND)
    assert kind == 0x04
    assert status in answer
    assert list((config.root / "inbox").iterdir()) == []
    assert echo(config)


def test_a_pdu_of_one_mebibyte_is_taken(config: Config, pid: int) -> None:
    link = established(config)
    link.sendall(p_data(store_command(), command=True, last=True))
    link.sendall(p_data(bytes(MAX_RECEIVED_PDU - 6), command=False, last=False))
    link.sendall(p_data(b"\0\0", command=False, last=True))
    kind, _ = read_pdu(link)
    assert kind == 0x04
    assert len(ObjectStore(config.root).inbox_files()) == 1


def test_what_is_cut_off_in_mid_object_leaves_nothing(config: Config, pid: int) -> None:
    base = threads(pid)
    link = established(config)
    link.sendall(p_data(store_command(), command=True, last=True))
    link.sendall(p_data(b"\x08\x00\x05\x00" * 1000, command=False, last=False))
    wait_until(lambda: left_over(config), 5)
    link.sendall(struct.pack(">BBL", 0x04, 0, 5000) + b"half of a PDU")
    link.close()
    wait_until(lambda: not left_over(config), 10)
    assert ObjectStore(config.root).inbox_files() == []
    wait_until(lambda: threads(pid) <= base + 1, 15)
    assert echo(config)


def test_half_a_pdu_and_then_silence_ends_in_time(config: Config, pid: int) -> None:
    base = threads(pid)
    halves = [raw(config) for _ in range(4)]
    for link in halves:
        link.sendall(struct.pack(">BBL", 0x01, 0, 200) + b"x")
    late = established(config)
    late.sendall(p_data(store_command(), command=True, last=True))
    late.sendall(struct.pack(">BBL", 0x04, 0, 5000) + b"y")
    started = time.monotonic()
    for link in [*halves, late]:
        assert read_pdu(link)[0] in (0, ABORT)
    assert time.monotonic() - started < 8
    wait_until(lambda: refused(config).get("pdu_unfinished") == 5, 5)
    wait_until(lambda: threads(pid) <= base + 1 and not left_over(config), 15)


def test_silent_peers_are_dropped_and_block_nobody(config: Config, pid: int) -> None:
    base = threads(pid)
    silent = [raw(config) for _ in range(40)]
    started = time.monotonic()
    assert echo(config)
    assert time.monotonic() - started < 2
    for link in silent:
        assert read_pdu(link)[0] in (0, ABORT)
    wait_until(lambda: threads(pid) <= base + 1, 15)


def test_an_idle_association_ends(config: Config, pid: int) -> None:
    link = established(config)
    started = time.monotonic()
    assert read_pdu(link)[0] in (0, ABORT)
    assert 1 < time.monotonic() - started < 8


@pytest.mark.parametrize("target", [run_receiver, slow_to_begin])
def test_connections_that_say_nothing_are_limited(
    tmp_path: Path, target: Callable[..., None]
) -> None:
    # The patience is longer than the test, so that none is given up on a slow machine meanwhile.
    config = site(tmp_path / "store", max_pending=5, negotiation_timeout_s=600.0)
    with receiving(config, target=target), ExitStack() as stack:
        links = [stack.enter_context(raw(config)) for _ in range(12)]
        wait_until(lambda: refused(config).get("too_many_pending", 0) >= 12 - 5, 60)
        wait_until(lambda: len(select.select(links, [], [], 0)[0]) >= 12 - 5, 60)
        closed = select.select(links, [], [], 0)[0]
        assert [read_pdu(link) for link in closed] == [(0, b"")] * len(closed)
        silent = [link for link in links if link not in closed]
        assert 1 <= len(silent) <= 5
        for link in silent:  # who says who he is makes room for others
            link.sendall(request_pdu(Dx, ExplicitVRLittleEndian))
            assert read_pdu(link)[0] == ACCEPT
        assert echo(config)


def test_one_association_too_many_is_rejected_for_now(tmp_path: Path) -> None:
    config = site(tmp_path / "store", max_associations=3)
    with receiving(config):
        held = [associate(config) for _ in range(3)]
        assert all(a.is_established for a in held)
        more = associate(config)
        assert more.is_rejected
        answer = more.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        assert refused(config) == {"too_many_associations": 1}
        held[0].release()
        wait_until(lambda: echo(config), 10)
        for association in held[1:]:
            association.release()


def test_who_cannot_be_judged_is_not_let_in(tmp_path: Path) -> None:
    config = site(tmp_path / "store")
    with receiving(config, cannot_judge):
        caller = associate(config)
        assert caller.is_rejected
        assert caller.acceptor.primitive.result == 2  # for now: it is the node's fault
        assert refused(config) == {"not_judged": 1}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_dicom"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls_on_plain_port"),
        (bytes(4096), "not_dicom"),
    ],
    ids=["browser", "tls", "noughts"],
)
def test_what_is_no_dicom_is_counted_by_its_kind(
    config: Config, pid: int, said: bytes, reason: str
) -> None:
    link = raw(config)
    link.sendall(said)
    assert read_pdu(link)[0] in (ABORT, 0)
    wait_until(lambda: refused(config) == {reason: 1}, 5)
    assert echo(config)


def test_a_wrong_called_title_is_counted(config: Config, pid: int) -> None:
    ae = AE("PACS")
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", config.node.port, ae_title="SOMEBODY")
    assert association.is_rejected
    wait_until(lambda: refused(config) == {"wrong_called_title": 1}, 5)


def test_strangers_are_counted(config: Config, pid: int) -> None:
    assert not echo(config, "STRANGER")
    assert refused(config) == {"unknown_peer": 1}


def test_one_uid_sent_at_once_by_many_is_kept_each_time(
    config: Config, pid: int, tmp_path: Path
) -> None:
    source = dicom_sources.clean(tmp_path / "a.dcm")
    answers: list[int] = []
    senders = [
        threading.Thread(target=lambda: answers.append(store(config, source))) for _ in range(8)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert answers == [0] * 8
    kept = ObjectStore(config.root).inbox_files()
    assert len(kept) == 8
    pixels = dcmread(source).PixelData
    assert all(dcmread(k).PixelData == pixels for k in kept)


class FullDisk(ObjectStore):
    """A store whose disk is full when the object is to be made durable."""

    def publish_inbox(self, temp: Path, name: str) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")


def c_store(received: Path) -> SimpleNamespace:
    """The event of a C-STORE whose data set pynetdicom has written to ``received``."""
    primitive = SimpleNamespace(calling_ae_title="PACS", called_ae_title="RA_DAEMON")
    return SimpleNamespace(
        assoc=SimpleNamespace(requestor=SimpleNamespace(primitive=primitive, address="127.0.0.1")),
        dataset_path=received,
        request=SimpleNamespace(AffectedSOPInstanceUID=UID),
    )


def handler(receiver: Receiver) -> Callable[[SimpleNamespace], int]:
    """Its handler of C-STORE."""
    return {str(n): f for n, f in receiver.handlers()}["EVT_C_STORE"]


def test_without_hard_links_an_image_is_copied_and_kept(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system: a link within one succeeds")
    config = site(tmp_path / "store")
    store = ObjectStore(config.root)
    with tempfile.NamedTemporaryFile(dir=elsewhere) as received:
        received.write(b"image")
        received.flush()
        receiver = Receiver(config, store, Tally(config.root, "t"))
        assert handler(receiver)(c_store(Path(received.name))) == SUCCESS
    (kept,) = store.inbox_files()
    assert kept.read_bytes() == b"image"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert left_over(config) == []


def test_an_object_for_which_there_is_no_room_is_answered(tmp_path: Path) -> None:
    config = site(tmp_path / "store")
    (big,) = phantoms(tmp_path / "in", 1, 5, size=640)
    assert big.stat().st_size > 400_000
    with receiving(config, target=in_little_room):
        link = associate(config, (str(dcmread(big).SOPClassUID), ExplicitVRLittleEndian))
        assert [link.send_c_store(dcmread(big)).Status for _ in range(2)] == [OUT_OF_RESOURCES] * 2
        link.release()
        assert echo(config)  # the process lives, and its other associations
        wait_until(lambda: left_over(config) == [], 10)
    assert ObjectStore(config.root).inbox_files() == []


def test_a_spool_remembers_what_the_disk_said() -> None:
    with Spool("/dev/full") as full:
        assert full.write(b"x" * 5000) == 5000
        assert full.fault is not None
        assert full.fault.errno == errno.ENOSPC
        assert full.write(b"y") == 1


class LittleRoom(ObjectStore):
    """A store whose disk has a megabyte left."""

    def free_bytes(self) -> int:
        return 1 << 20


@pytest.mark.parametrize("how", ["reserve", "enospc", "no reserve"])
def test_a_full_disk_is_never_acknowledged(tmp_path: Path, how: str) -> None:
    config = site(tmp_path / "store")
    full: ObjectStore = FullDisk(config.root)
    if how == "reserve":
        full = ObjectStore(config.root)
        reserve = config.store.model_copy(update={"reserve_gb": 1e9})
        config = config.model_copy(update={"store": reserve})
    elif how == "no reserve":
        full = LittleRoom(config.root)
        config = config.model_copy(update={"store": Store(root=config.root, reserve_gb=0)})
    receiver = Receiver(config, full, Tally(config.root, "t"))
    temp = full.write_temp()
    with capture_logs() as told:
        assert handler(receiver)(c_store(temp)) == OUT_OF_RESOURCES
    assert [line["code"] for line in told] == ["disk.full"]
    assert "Free space" in told[0]["hint"]
    assert full.inbox_files() == []
    assert left_over(config) == [temp]  # pynetdicom's own, which it removes
