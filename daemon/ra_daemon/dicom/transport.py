"""The receiver's transport: short of patience with whoever is silent, endless or too big.

pynetdicom reads a PDU of any announced length into memory, waits for its rest without a limit, and
shakes TLS hands in the thread that accepts: each lets one peer stop all the others.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from ra_daemon import log

MAX_RECEIVED_PDU = 1 << 20
"""Bytes after the PDU's header. We offer less; 1 MiB bears with peers that round up."""

_ABORT = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 2, 6))  # A-ABORT: provider, invalid PDU parameter value
_PDU_TYPES = range(0x01, 0x08)  # PS3.8 9.3.1
_TLS_HANDSHAKE = 0x16  # RFC 8446 5.1
_log = log.get(__name__)


class PatientSocket(AssociationSocket):  # type: ignore[misc]
    """Reads a PDU within limits of size and time."""

    negotiation_s = 5.0
    idle_s = 60.0
    _heard = False  # whether the peer said anything yet
    _told = False  # one connection is refused for one reason

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or what came before the peer closed.

        Raises:
            OSError: longer than 1 MiB (nothing of it is read), or not here in time.
        """
        link = self.socket
        if link is None:
            raise ConnectionAbortedError
        if nr_bytes > MAX_RECEIVED_PDU:
            self._give_up(link, "pdu_too_long")
            raise ConnectionAbortedError
        buffer = bytearray(nr_bytes)
        got, limit = 0, self.idle_s if self.assoc.is_established else self.negotiation_s
        deadline = time.monotonic() + limit
        with memoryview(buffer) as view:
            while got < nr_bytes:
                link.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    count = link.recv_into(view[got:])
                except TimeoutError:
                    self._give_up(link, "pdu_unfinished")
                    raise
                if count == 0:
                    break
                got += count
        link.settimeout(self.idle_s)  # sends, too, end some day
        del buffer[got:]
        if not self._heard and buffer and buffer[0] not in _PDU_TYPES:
            # pynetdicom aborts and tells nobody: TLS on a plain port, a browser, a scan.
            told = "tls_on_plain_port" if buffer[0] == _TLS_HANDSHAKE else "not_dicom"
            self._refused(told)
        self._heard = True
        return buffer

    def _refused(self, reason: str) -> None:
        if self._told:
            return
        self._told = True
        refuse: Callable[[str, str], None] = self.assoc._server.refuse  # noqa: SLF001 - ours
        refuse(reason, str(self.assoc.requestor.address))

    def _give_up(self, link: socket.socket, reason: str) -> None:
        self._refused(reason)
        with contextlib.suppress(OSError):
            link.settimeout(1.0)
            link.sendall(_ABORT)
            link.shutdown(socket.SHUT_RDWR)


class Handler(RequestHandler):  # type: ignore[misc]
    """Gives each association a ``PatientSocket``."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # the first socket's "connected"; ours says it too
        link = PatientSocket(association, client_socket=self.request)
        link.negotiation_s, link.idle_s = self.server.negotiation_s, self.server.idle_s
        association.dul.socket = link
        return association


class SharedPortServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Lets several processes listen on one port; handshakes and waits in each caller's own thread.

    ``refuse(reason, address)`` is called for whatever is turned away before it is an association.
    """

    negotiation_s = 5.0
    idle_s = 60.0
    max_pending = 128
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any, refuse: Callable[[str, str], None], **named: Any) -> None:
        self.refuse = refuse
        self._opening = 0  # let in, and not yet among the associations
        self._guard = threading.Lock()
        super().__init__(*arguments, request_handler=Handler, **named)

    def server_bind(self) -> None:
        """Bind with SO_REUSEPORT."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection, answer without Nagle's delay; TLS begins in its own thread."""
        connection, address = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.settimeout(self.negotiation_s)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Close a connection at once while too many others have not said who they are."""
        silent = sum(not a.is_established for a in self.active_associations)
        if silent + self._opening < self.max_pending:
            return True
        self.refuse("too_many_pending", str(client_address[0]))
        return False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count it from here on: its thread may begin long after many others were let in."""
        self._count_opening(1)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._count_opening(-1)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands within the negotiation's limit, then begin the association."""
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
        except OSError:
            self.refuse("tls_handshake", str(client_address[0]))
            self.shutdown_request(request)
        else:
            super().process_request_thread(request, client_address)
        finally:
            self._count_opening(-1)

    def _count_opening(self, change: int) -> None:
        with self._guard:
            self._opening += change
