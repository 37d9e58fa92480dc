"""The DICOM port: whether it is free, and why it cannot be opened."""

from __future__ import annotations

import errno
import socket
import time

from ra_daemon.config import Node
from ra_daemon.errors import DaemonError

PATIENCE_S = 5.0
"""How long a port may still be held by receivers of a node that was just killed."""
_HINTS = {
    errno.EADDRNOTAVAIL: "This machine has no such address: set node.host to one that it has.",
    errno.EACCES: "Ports below 1024 need a right of their own: choose a higher node.port.",
}


class ListenError(DaemonError):
    """The DICOM port cannot be opened."""

    code = "node.cannot_listen"
    hint = "Another program, or another node, holds the port: stop it, or change node.port."


def cannot_listen(node: Node, error: OSError) -> ListenError:
    """What an operating system's answer means for the configuration."""
    text = f"The DICOM port {node.host}:{node.port} cannot be opened: {error.strerror}."
    if isinstance(error, socket.gaierror):  # its numbers are others
        return ListenError(text, hint=_HINTS[errno.EADDRNOTAVAIL])
    return ListenError(text, hint=_HINTS.get(error.errno or 0, ListenError.hint))


def claim(node: Node, *, patience_s: float = PATIENCE_S) -> None:
    """Make sure that nobody else listens: receivers share their port, and would share it with him.

    Raises:
        ListenError: the port is held, or cannot be held.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            probe(node.host, node.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise cannot_listen(node, error) from error
            time.sleep(0.1)
        else:
            return


def probe(host: str, port: int) -> None:
    """Bind alone, without SO_REUSEPORT, and let go.

    Raises:
        OSError: somebody listens there, or nobody can.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))
        alone.listen(1)
