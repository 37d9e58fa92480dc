"""A mini PACS: keeps what it gets as files, answers C-ECHO and C-FIND."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

AE_TITLE = "DEMOPACS"


class MiniPacs:
    """A storage SCP in threads of this process; ``arrivals`` counts C-STOREs by instance."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port
        self.arrivals: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        """Listen on loopback."""
        entity = AE(ae_title=AE_TITLE)
        entity.maximum_associations = 20
        entity.add_supported_context(Verification)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        self._server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._keep), (evt.EVT_C_FIND, self._find)],
        )

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def files(self) -> list[Path]:
        """What it keeps, by name."""
        return sorted(self.folder.glob("*.dcm"))

    def _keep(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        path = self.folder / f"{uid}.dcm"
        temporary = path.with_suffix(".part")
        temporary.write_bytes(event.encoded_dataset())  # with preamble and file meta
        with self._lock:
            temporary.replace(path)
            self.arrivals[uid] += 1
        return 0

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        uid = str(event.identifier.get("SOPInstanceUID", ""))
        if uid and (self.folder / f"{uid}.dcm").is_file():
            found = Dataset()
            found.QueryRetrieveLevel = "IMAGE"
            found.SOPInstanceUID = uid
            yield 0xFF00, found
