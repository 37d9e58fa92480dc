"""The receiver: one process, store then acknowledge. It needs no database.

What arrives whole is on disk, file and folder synced, before 0x0000 goes out. Parsable or not, it
is stored: a failure status would make some senders drop the rest of a study.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from socketserver import BaseServer
from typing import Any, Protocol, cast

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
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
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    Verification,
)

from ra_daemon import checkpoints, log
from ra_daemon.config import Config, Peer
from ra_daemon.dicom import commitment
from ra_daemon.dicom.inbox import dump_origin, sidecar
from ra_daemon.dicom.port import cannot_listen
from ra_daemon.dicom.spool import spool
from ra_daemon.dicom.tls import server_context
from ra_daemon.dicom.transport import SharedPortServer
from ra_daemon.domain import Origin
from ra_daemon.errors import DaemonError, DiskFullError
from ra_daemon.faults import log_fields
from ra_daemon.sop_classes import STORAGE_CLASSES
from ra_daemon.store.events import EventBox
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tally import REFUSED, Tally

TRANSFER_SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit, JPEGExtended12Bit),
    *(JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless),
    *(JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
)
"""What ``dicom.read`` decodes. Of a context that offers others before one of these, this one is
taken; the sender of a context without any keeps the image and knows it."""
MAX_PDU = 131072
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000

_log = log.get(__name__)


class Stop(Protocol):
    """What tells a receiver to end."""

    def is_set(self) -> bool:
        """Whether it was told."""
        ...


class Ready(Protocol):
    """Where the receiver reports that it listens, or why it cannot."""

    def send(self, word: object) -> None:
        """Report."""
        ...


def run_receiver(config: Config, stop: Stop, ready: Ready, index: int = 0) -> None:
    """Serve until ``stop`` is set, then let running associations end within a limit.

    ``ready`` is told "listening", or the error that says why the port cannot be served.

    ``index`` numbers the receiver processes of a node: each keeps a tally of its own.
    """
    # Received data goes straight to a file on the store's own file system, never through memory.
    _config.STORE_RECV_CHUNKED_DATASET = True
    dimse_messages.NamedTemporaryFile = spool  # there is no other way to choose that file
    store = ObjectStore(config.root)
    os.environ["TMPDIR"] = str(store.tmp)
    import tempfile

    tempfile.tempdir = str(store.tmp)
    ae = application_entity(config)
    receiver = Receiver(config, store, Tally(config.root, f"receiver-{index}"))
    try:
        server = _server(config, ae, receiver)
    except OSError as error:
        ready.send(cannot_listen(config.node, error))
        return
    except DaemonError as error:
        ready.send(error)
        return
    threading.Thread(target=server.serve_forever, name="accept", daemon=True).start()
    ready.send("listening")
    _log.info("node.listening", port=config.node.port, tls=config.tls.enabled)
    while not stop.is_set():
        time.sleep(0.1)
        receiver.sweep()
    BaseServer.shutdown(server)  # pynetdicom's own expects a server that start_server() made
    deadline = time.monotonic() + 15
    while ae.active_associations and time.monotonic() < deadline:
        time.sleep(0.05)
    server.socket.close()


def _server(config: Config, ae: AE, receiver: Receiver) -> SharedPortServer:
    def build(*arguments: Any, **named: Any) -> SharedPortServer:
        return SharedPortServer(*arguments, refuse=receiver.refuse, **named)

    server = ae.make_server(
        (config.node.host, config.node.port),
        evt_handlers=receiver.handlers(),
        ssl_context=server_context(config.tls),
        server_class=build,
    )
    server.negotiation_s = config.node.negotiation_timeout_s
    server.idle_s = config.node.network_timeout_s
    server.max_pending = config.node.max_pending
    return cast("SharedPortServer", server)


def application_entity(config: Config) -> AE:
    """The AE with its contexts and limits."""
    ae = AE(ae_title=config.node.ae_title)
    for uid in STORAGE_CLASSES:
        ae.add_supported_context(uid, list(TRANSFER_SYNTAXES))
    ae.add_supported_context(Verification)
    # The peer that reports a commitment keeps its role of SCP although it opens the association.
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    ae.maximum_associations = 1_000_000  # counted in Receiver: pynetdicom counts the silent, too
    ae.maximum_pdu_size = MAX_PDU
    ae.acse_timeout = config.node.negotiation_timeout_s
    ae.network_timeout = config.node.network_timeout_s
    ae.dimse_timeout = config.node.network_timeout_s
    ae.require_called_aet = False  # Receiver._requested does: we may have several titles
    return ae


class Receiver:
    """Handlers of one receiver process."""

    def __init__(self, config: Config, store: ObjectStore, tally: Tally) -> None:
        self._config = config
        self._store = store
        self._tally = tally
        self._events = EventBox(store)
        self._counter = 0
        self._guard = threading.Lock()
        self._admitted: set[Any] = set()

    def handlers(self) -> list[tuple[Any, Callable[..., Any]]]:
        """Event handlers for pynetdicom."""
        return [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._store_object),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_N_EVENT_REPORT, self._reported),
        ]

    def refuse(self, reason: str, address: str, calling: str = "") -> None:
        """Log and count what was turned away."""
        _log.warning("association.refused", reason=reason, address=address, calling_ae=calling)
        self._tally.add(REFUSED, reason)

    def sweep(self) -> None:
        """Forget associations that have ended, and remove what they left half received."""
        with self._guard:
            ended = {a for a in self._admitted if not a.is_alive()}
            self._admitted -= ended
        for association in ended:
            left = getattr(association.dimse.message, "_data_set_file", None)
            if left is not None:  # the peer was cut off in mid-object: nothing was acknowledged
                with suppress(OSError):
                    left.close()
                Path(left.name).unlink(missing_ok=True)

    def _requested(self, event: Any) -> None:
        """Reject a peer that is not on the allow-list, or one too many, as PS3.8 9.3.4 says.

        pynetdicom goes on after a handler that raised, as if all were well: so a caller has nothing
        until it was judged.
        """
        acceptor = event.assoc.acceptor
        known, acceptor.supported_contexts = acceptor.supported_contexts, []
        try:
            services = self._judge(event)
        except Exception as error:  # noqa: BLE001 - the SCP handler's isolation wall
            # transient, service provider (ACSE), no reason given
            self._reject(event.assoc, "not_judged", (0x02, 0x02, 0x01), "")
            _log.error("association.not_judged", **log_fields(error))
            return
        acceptor.supported_contexts = [
            c
            for c in known
            if c.abstract_syntax == Verification
            or (c.abstract_syntax == StorageCommitmentPushModel and "commitment" in services)
            or (c.abstract_syntax in STORAGE_CLASSES and "storage" in services)
        ]

    def _judge(self, event: Any) -> frozenset[str]:
        """What the caller may do; one that may do nothing is rejected."""
        calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
        address = str(event.assoc.requestor.address)
        services = permitted(self._config, calling, address)
        called = str(event.assoc.requestor.primitive.called_ae_title).strip()
        if called not in self._config.node.titles:
            # permanent, service user, called AE title not recognised
            self._reject(event.assoc, "wrong_called_title", (0x01, 0x01, 0x07), calling)
        elif not services:
            # permanent, service user, calling AE title not recognised
            self._reject(event.assoc, "unknown_peer", (0x01, 0x01, 0x03), calling)
        elif not self._admit(event.assoc):
            # transient, service provider (presentation), local limit exceeded
            self._reject(event.assoc, "too_many_associations", (0x02, 0x03, 0x02), calling)
        return services

    def _reported(self, event: Any) -> tuple[int, None]:
        """N-EVENT-REPORT: what a peer says of objects that we sent to it."""
        calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
        return commitment.receive(event, calling, self._events.put), None

    def _admit(self, association: Any) -> bool:
        with self._guard:
            running = sum(a.is_alive() for a in self._admitted)
            if running >= self._config.node.max_associations:
                return False
            self._admitted.add(association)
        return True

    def _reject(self, association: Any, reason: str, answer: tuple[int, int, int], ae: str) -> None:
        self.refuse(reason, str(association.requestor.address), ae)
        association.acse.send_reject(*answer)
        association.kill()

    def _store_object(self, event: Any) -> int:
        """C-STORE: durable first, then the status."""
        try:
            return self._keep(event)
        except OSError as error:
            _log.error("instance.not_stored", errno=error.errno, **log_fields(error))
            return OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 - the SCP handler's isolation wall
            _log.error("instance.not_stored", **log_fields(error))
            return OUT_OF_RESOURCES

    def _keep(self, event: Any) -> int:
        fault = getattr(getattr(event.request, "_dataset_file", None), "fault", None)
        if fault is not None:
            raise fault  # the disk was full while it came
        if self._store.free_bytes() < self._config.store.least_free:
            reserve = self._config.store.reserve_gb
            full = DiskFullError
            _log.error("store.full", reserve_gb=reserve, code=full.code, hint=full.hint)
            return OUT_OF_RESOURCES
        requestor = event.assoc.requestor
        origin = Origin(
            calling_ae=str(requestor.primitive.calling_ae_title).strip(),
            called_ae=str(requestor.primitive.called_ae_title).strip(),
            address=str(requestor.address),
        )
        if event.dataset_path is None:  # the same request would fail again: no A700
            calling = origin.calling_ae
            _log.warning("instance.not_stored", code="no_data_set", calling_ae=calling)
            return CANNOT_UNDERSTAND
        checkpoints.hit("receive")
        self._publish(Path(event.dataset_path), origin)
        checkpoints.hit("published")
        uid = str(event.request.AffectedSOPInstanceUID or "")
        _log.info("instance.received", uid=log.uid_key(uid), calling_ae=origin.calling_ae)
        return SUCCESS

    def _publish(self, received: Path, origin: Origin) -> None:
        """Make object and origin durable in the inbox, the origin first; else leave no trace."""
        name = self._name()
        note, kept = self._store.write_temp(), self._store.tmp / f"{name}.kept"
        beside = sidecar(Path(name)).name
        try:
            note.write_bytes(dump_origin(origin))
            # pynetdicom removes its temporary file after the handler: a second name keeps the data.
            self._store.link_temp(received, kept.name)
            self._store.publish_inbox(note, beside)
            self._store.publish_inbox(kept, name)
        except BaseException:
            # A full disk must not fill further with what was not acknowledged.
            for left in (note, kept, self._store.inbox / name, self._store.inbox / beside):
                left.unlink(missing_ok=True)
            raise

    def _name(self) -> str:
        """Names sort by arrival; process and counter make them unique."""
        with self._guard:
            self._counter += 1
            return f"{time.time_ns():020d}-{os.getpid()}-{self._counter}.dcm"


def permitted(config: Config, calling: str, address: str) -> frozenset[str]:
    """What a caller may do, by AE title and address together: ``storage``, ``commitment``, both.

    Nothing: no association. A pure destination may call us to report commitment, and only that.
    """
    if config.node.allow_unknown:
        return frozenset({"storage", "commitment"})
    known = [
        p
        for p in config.peer
        if (p.receive or p.commitment)
        and p.ae_title.strip() == calling
        and _from_network(p, address)
    ]
    services = {"storage": any(p.receive for p in known)}
    services["commitment"] = any(p.commitment for p in known)
    return frozenset(name for name, given in services.items() if given)


def _from_network(peer: Peer, address: str) -> bool:
    caller = ip_address(address)
    if caller.version == 6 and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped  # a socket that listens on :: names IPv4 callers so
    if peer.networks:
        return any(caller in network for network in peer.networks)
    try:
        known = {info[4][0] for info in socket.getaddrinfo(peer.host, None)}
    except (OSError, UnicodeError):  # the second: a name that no resolver can be asked for
        return False
    return str(caller) in known
