"""A receiver in a process of its own, and callers of every kind."""

from __future__ import annotations

import multiprocessing
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from ra_daemon.config import Config, Node, Peer, Store, Tls
from ra_daemon.dicom import scp
from ra_daemon.dicom.scp import run_receiver
from ra_daemon.dicom.transport import Handler
from ra_daemon.store.objects import ObjectStore
from tests.support.processes import free_port

AE_TITLE = "RA_DAEMON"
ABORT, REJECT, ACCEPT = 0x07, 0x03, 0x02


def site(root: Path, *, tls: Tls | None = None, **node: Any) -> Config:
    """A configuration that knows the peer PACS on loopback."""
    settings = {"negotiation_timeout_s": 2.0, **node}
    return Config(
        store=Store(root=root, reserve_gb=0.01),
        node=Node(host="127.0.0.1", port=free_port(), **settings),
        tls=tls or Tls(),
        peer=(Peer(name="pacs", ae_title="PACS", port=104),),
    )


def in_little_room(config: Config, stop: Any, ready: Any) -> None:
    """A receiver that may write no file beyond 200 kB: the same error of write as a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    run_receiver(config, stop, ready)


def slow_to_begin(config: Config, stop: Any, ready: Any) -> None:
    """A receiver whose threads get their turn late: it accepts much faster than it begins."""
    begin = Handler.handle

    def late(handler: Handler) -> None:
        time.sleep(1)
        begin(handler)

    Handler.handle = late  # type: ignore[method-assign]
    run_receiver(config, stop, ready)


def cannot_judge(config: Config, stop: Any, ready: Any) -> None:
    """A receiver in which the allow-list fails, as by a fault of the resolver."""

    def fail(*_: object) -> frozenset[str]:
        raise RuntimeError

    scp.permitted = fail
    run_receiver(config, stop, ready)


@contextmanager
def receiving(config: Config, target: Callable[..., None] = run_receiver) -> Iterator[int]:
    """A running receiver; yields its process id, and demands a clean end."""
    ObjectStore(config.root)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(config, stop, theirs), daemon=True)
    process.start()
    try:
        assert ours.poll(30)
        assert ours.recv() == "listening"
        assert process.pid is not None
        yield process.pid
        stop.set()
        process.join(25)
        assert process.exitcode == 0
    finally:
        process.kill()


def threads(pid: int) -> int:
    """Threads of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def resident_mb(pid: int) -> float:
    """Peak resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def associate(config: Config, *contexts: tuple[str, str], calling: str = "PACS") -> Any:
    """An association of pynetdicom's own, established or not."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    for abstract, syntax in contexts:
        ae.add_requested_context(abstract, syntax)
    if not contexts:
        ae.add_requested_context(Verification)
    return ae.associate("127.0.0.1", config.node.port, ae_title=AE_TITLE)


def echo(config: Config, calling: str = "PACS") -> bool:
    """C-ECHO."""
    association = associate(config, calling=calling)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status) and status.Status == 0


def store(config: Config, path: Path) -> int:
    """C-STORE of one file; its status."""
    ds = dcmread(path)
    association = associate(config, (ds.SOPClassUID, ds.file_meta.TransferSyntaxUID))
    assert association.is_established
    status = association.send_c_store(ds)
    association.release()
    return int(status.Status)


def request_pdu(abstract: str, syntax: str, calling: str = "PACS") -> bytes:
    """An encoded A-ASSOCIATE-RQ with one presentation context of id 1."""
    ae = AE(calling)
    ae.add_requested_context(abstract, syntax)
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    who = ImplementationClassUIDNotification()
    who.implementation_class_uid = ae.implementation_class_uid
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = ae.ae_title
    primitive.called_ae_title = AE_TITLE
    primitive.user_information = [length, who]
    contexts = ae.requested_contexts
    contexts[0].context_id = 1
    primitive.presentation_context_definition_list = contexts
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def raw(config: Config) -> socket.socket:
    """A bare TCP connection."""
    link = socket.create_connection(("127.0.0.1", config.node.port))
    link.settimeout(20)
    return link


def read_pdu(link: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU; type 0 when the connection was closed."""
    head = _exactly(link, 6)
    if len(head) < 6:
        return 0, b""
    kind, _, length = struct.unpack(">BBL", head)
    return int(kind), _exactly(link, length)


def _exactly(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            part = link.recv(count - len(data))
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part
    return data


def p_data(fragment: bytes, *, command: bool, last: bool) -> bytes:
    """A P-DATA-TF PDU with one PDV in context 1."""
    header = int(command) | int(last) << 1
    value = struct.pack(">LBB", len(fragment) + 2, 1, header) + fragment
    return struct.pack(">BBL", 0x04, 0, len(value)) + value
