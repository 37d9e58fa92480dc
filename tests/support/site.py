"""A small hospital for tests: a node's configuration, a PACS that keeps what it gets, a sender."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import threading
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.support.processes import command, free_port

REPORTS = frozenset({Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage})
CAPTURE = SecondaryCaptureImageStorage
NODE_AE = "RA_DAEMON"
MODALITY_AE = "MODALITY"
_KEPT = 'deliver = "database-only"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer as the node's configuration names it."""

    name: str
    ae_title: str
    port: int
    send: bool = True

    def toml(self) -> str:
        """The peer's table."""
        return (
            f'[[peer]]\nname = "{self.name}"\nae_title = "{self.ae_title}"\n'
            f'host = "127.0.0.1"\nport = {self.port}\nsend = {str(self.send).lower()}\n'
        )


def write_site(
    folder: Path,
    peers: Sequence[Peer],
    *,
    tables: str = "",
    url: str = "",
    scoring: str = "",
    route: str = "",
) -> Path:
    """Write ``folder/ra-daemon.toml`` of a node that sends everything to every peer.

    A peer that only sends to us, ``MODALITY``, is always there. Without ``peers`` results stay in
    the database, until ``send_to`` names one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modality = Peer(name="modality", ae_title=MODALITY_AE, port=104, send=False)
    text = [
        f'[store]\nroot = "store"\nurl = {json.dumps(url)}\nreserve_gb = 0.05\n',
        f'[node]\nae_title = "{NODE_AE}"\nhost = "127.0.0.1"\nport = {free_port()}\n',
        *(peer.toml() for peer in (modality, *peers)),
        f'[[route]]\nname = "all"\n{_sent_to([p.name for p in peers]) if peers else _KEPT}',
        route,
        f"[scoring]\nthreads = 1\n{scoring}\n",
        "[delivery]\nfirst_retry_s = 0.5\nmax_retry_s = 2.0\ntimeout_s = 10.0\n",
        "[schedule]\nquiet_s = 2.0\n",
        f"[web]\nport = {free_port()}\n",
        tables,
    ]
    (folder / "ra-daemon.toml").write_text("\n".join(text))
    return folder


def send_to(folder: Path, name: str, table: str) -> None:
    """Make a peer of that name the destination of a site that was written without peers."""
    path = folder / "ra-daemon.toml"
    path.write_text(f"{path.read_text().replace(_KEPT, _sent_to([name]))}\n{table}")


def _sent_to(names: Sequence[str]) -> str:
    return f"destinations = {json.dumps(names)}\n"


def web_port(folder: Path) -> int:
    """The port of the node's page and metrics."""
    return int(tomllib.loads((folder / "ra-daemon.toml").read_text())["web"]["port"])


def rows(folder: Path, query: str) -> list[dict[str, Any]]:
    """Rows of a query over the node's SQLite file; empty while there is no database yet."""
    database = folder / "store" / "ra-daemon.db"
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "no such view" in str(error):
            return []  # the node is still making its tables
        raise
    finally:
        connection.close()


def column(folder: Path, query: str) -> list[Any]:
    """First column of a query."""
    return [next(iter(row.values())) for row in rows(folder, query)]


def settled(folder: Path, images: int) -> bool:
    """Whether so many images have a verdict and nothing waits to be composed or delivered."""
    verdicts = column(
        folder,
        "SELECT count(DISTINCT u) FROM (SELECT sop_instance_uid u FROM v1_results "
        "UNION ALL SELECT sop_instance_uid FROM v1_refusals)",
    )
    if not verdicts or verdicts[0] < images:
        return False
    waiting = column(
        folder,
        "SELECT (SELECT count(*) FROM report WHERE state = 'due') + "
        "(SELECT count(*) FROM v1_deliveries WHERE state IN ('pending', 'sending'))",
    )
    return waiting == [0]


def phantoms(folder: Path, n: int, seed: int, *options: str, size: int = 384) -> list[Path]:
    """Generated radiographs as DICOM files, by the command that people use."""
    subprocess.run(
        [
            *(*command("ra-train"), "phantom", "--n", str(n), "--seed", str(seed)),
            *("--out", str(folder), "--size", str(size), *options),
        ],
        check=True,
        capture_output=True,
        timeout=240,
    )
    return sorted(folder.glob("*.dcm"))


def uids(paths: Iterable[Path]) -> set[str]:
    """SOP Instance UIDs of files."""
    return {str(dcmread(p, stop_before_pixels=True, force=True).SOPInstanceUID) for p in paths}


def send(
    port: int, objects: Iterable[Path | Dataset], *, calling: str = MODALITY_AE
) -> dict[str, int]:
    """C-STORE over one association; SOP Instance UID -> status, only for answered requests."""
    datasets = [o if isinstance(o, Dataset) else dcmread(o, force=True) for o in objects]
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    wanted = {(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in datasets}
    for sop_class, syntax in sorted(wanted):
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=NODE_AE)
    answers: dict[str, int] = {}
    if not association.is_established:
        return answers
    try:
        for dataset in datasets:
            if not association.is_established:
                break
            answer = association.send_c_store(dataset)
            if "Status" in answer:
                answers[str(dataset.SOPInstanceUID)] = int(answer.Status)
    finally:
        if association.is_established:
            association.release()
    return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One object that the PACS got: every C-STORE counts, also a repeated one."""

    sop_class: str
    sop_instance: str
    sha256: str
    path: Path


@dataclass(slots=True)
class SinkPacs:
    """A storage SCP that keeps every object it gets and answers C-FIND about them."""

    folder: Path
    ae_title: str = "SINK"
    port: int = 0
    kept: list[Kept] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def peer(self) -> Peer:
        """How a node names this PACS."""
        return Peer(name="sink", ae_title=self.ae_title, port=self.port)

    def instances(self, classes: Iterable[str] | None = None) -> set[str]:
        """SOP Instance UIDs kept, of those SOP classes only."""
        wanted = None if classes is None else set(classes)
        with self._lock:
            return {k.sop_instance for k in self.kept if wanted is None or k.sop_class in wanted}

    def datasets(self, classes: Iterable[str]) -> list[Dataset]:
        """The objects of those SOP classes, once for each UID."""
        with self._lock:
            paths = {k.sop_instance: k.path for k in self.kept if k.sop_class in set(classes)}
        return [dcmread(path) for path in paths.values()]

    def versions(self) -> dict[str, set[str]]:
        """SOP Instance UID -> hashes of the contents that came under it."""
        found: dict[str, set[str]] = {}
        with self._lock:
            for kept in self.kept:
                found.setdefault(kept.sop_instance, set()).add(kept.sha256)
        return found

    def store(self, event: evt.Event) -> int:
        """Keep one object."""
        content = event.request.DataSet.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        uid = str(event.request.AffectedSOPInstanceUID)
        path = self.folder / f"{uid}.dcm"
        with self._lock:
            path.write_bytes(event.encoded_dataset())
            self.kept.append(
                Kept(
                    sop_class=str(event.request.AffectedSOPClassUID),
                    sop_instance=uid,
                    sha256=digest,
                    path=path,
                )
            )
        return 0x0000

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a query for one instance."""
        uid = str(event.identifier.get("SOPInstanceUID", ""))
        if uid in self.instances():
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.SOPInstanceUID = uid
            answer.StudyInstanceUID = event.identifier.get("StudyInstanceUID", "")
            yield 0xFF00, answer


@contextmanager
def sink_pacs(folder: Path, *, port: int = 0, ae_title: str = "SINK") -> Iterator[SinkPacs]:
    """A running ``SinkPacs`` on loopback; ``port`` 0 takes a free one."""
    folder.mkdir(parents=True, exist_ok=True)
    pacs = SinkPacs(folder=folder, ae_title=ae_title, port=port or free_port())
    ae = AE(ae_title=ae_title)
    ae.maximum_associations = 50
    stored = [
        *sorted(REPORTS),
        CAPTURE,
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
    ]
    for sop_class in [Verification, *stored, StudyRootQueryRetrieveInformationModelFind]:
        ae.add_supported_context(sop_class)
    handlers = [(evt.EVT_C_STORE, pacs.store), (evt.EVT_C_FIND, pacs.find)]
    server = ae.start_server(("127.0.0.1", pacs.port), block=False, evt_handlers=handlers)
    try:
        yield pacs
    finally:
        server.shutdown()


def sources(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the images that a report or capture was made from."""
    found: set[str] = set()
    for keyword in ("CurrentRequestedProcedureEvidenceSequence",):
        for study in report.get(keyword, []):
            for series in study.ReferencedSeriesSequence:
                found |= {str(i.ReferencedSOPInstanceUID) for i in series.ReferencedSOPSequence}
    for item in report.get("SourceImageSequence", []):
        found.add(str(item.ReferencedSOPInstanceUID))
    return found
