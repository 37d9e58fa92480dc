"""A real Orthanc on loopback: started for a test, talked to over REST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.peers import require_tool
from tests.support.processes import free_port, running, wait_until
from tests.support.site import NODE_AE, Peer

AE_TITLE = "ORTHANC"

ROUTE = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  local modality = tags['Modality']
  if (modality == 'CR' or modality == 'DX') and origin['RemoteAet'] ~= 'RA_DAEMON' then
    SendToModality(instanceId, 'node')
  end
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc."""

    dicom_port: int
    http_port: int

    @property
    def peer(self) -> Peer:
        """How a node names it."""
        return Peer(name="orthanc", ae_title=AE_TITLE, port=self.dicom_port)

    def rest(self, path: str, body: bytes | object | None = None) -> Any:
        """GET, or POST with a body (bytes as they are, anything else as JSON)."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.rest("/system"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def instances(self, **tags: str) -> list[dict[str, Any]]:
        """Instances whose tags match, with their main tags."""
        query = {"Level": "Instance", "Query": tags, "Expand": True}
        return list(self.rest("/tools/find", query))

    def uids(self, **tags: str) -> set[str]:
        """SOP Instance UIDs of matching instances."""
        return {i["MainDicomTags"]["SOPInstanceUID"] for i in self.instances(**tags)}

    def studies_with(self, **tags: str) -> set[str]:
        """Study Instance UIDs that hold a matching instance."""
        query = {"Level": "Study", "Query": tags, "Expand": True}
        found = self.rest("/tools/find", query)
        return {study["MainDicomTags"]["StudyInstanceUID"] for study in found}

    def send_to_node(self, instance: str) -> None:
        """C-STORE of one instance to the node, by Orthanc's own identifier."""
        self.rest("/modalities/node/store", instance.encode())


@contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """An Orthanc that routes every CR and DX to the node."""
    program = require_tool("Orthanc", "orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    server = Orthanc(dicom_port=free_port(), http_port=free_port())
    (folder / "route.lua").write_text(ROUTE)
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "Test PACS",
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "DicomAet": AE_TITLE,
                "DicomPort": server.dicom_port,
                "HttpPort": server.http_port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomCheckCalledAet": True,
                "DicomAlwaysAllowStore": True,
                "LuaScripts": [str(folder / "route.lua")],
                "DicomModalities": {"node": [NODE_AE, "127.0.0.1", node_port]},
                "Plugins": [],
            }
        )
    )
    with running([program, folder / "orthanc.json"], folder / "orthanc.log"):
        wait_until(server.alive, 60)
        yield server
