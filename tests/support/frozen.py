"""An archive that stops in the middle; a child process must be able to import it."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import SecondaryCaptureImageStorage  # type: ignore[attr-defined]


def freeze_soon(_event: Any) -> None:
    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGSTOP)).start()


def serve_frozen(port: int) -> None:
    """An archive that freezes when an association stands: it reads no more, and closes nothing."""
    ae = AE("FROZEN")
    ae.add_supported_context(SecondaryCaptureImageStorage)
    ae.start_server(
        ("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_ESTABLISHED, freeze_soon)]
    )
