"""Compose: a recorded result becomes DICOM objects, once; what is resent is the stored file."""

from __future__ import annotations

import io
from pathlib import Path

from pydicom import Dataset

from ra_daemon import __version__, checkpoints
from ra_daemon.config import Config
from ra_daemon.dicom import read
from ra_daemon.dicom.report_input import SR_CLASSES, ReportInput, SrClass
from ra_daemon.domain import Composed
from ra_daemon.errors import FileDamagedError
from ra_daemon.faults import of_received
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.reports import ReportTask
from ra_engine.types import Heatmap


def compose(task: ReportTask, store: ObjectStore, config: Config) -> list[Composed]:
    """Write the report, and the capture of a scored image, into the object store.

    Raises:
        ComposeError: the objects cannot be made.
        FileDamagedError: the file of an image is gone, or not what was received.
    """
    checkpoints.hit("compose")
    paths = tuple(store.open_path(p) for p in task.paths)
    before = task.predecessor
    if task.retracted is None:
        parts = tuple(_digest(p) for p in paths)
        if parts != task.dataset_sha256s:  # else its report would be another, under another UID
            raise FileDamagedError("The file of the image is damaged.")
    else:  # one retraction for each report
        parts = (before.sop_instance_uid if before else "",)
    given = ReportInput(
        sources=paths,
        source_digests=parts,
        created_at=task.created_at,
        pipeline_digest=task.pipeline_digest,
        scored=task.scored,
        refused=task.refused,
        serial_number=config.node.serial_number,
        software_version=__version__,
        sr_class=_sr_class(config, task),
        predecessor_uid=before.sop_instance_uid if before else None,
        predecessor_class_uid=before.sop_class_uid if before else "",
        predecessor_kind=before.kind if before else "sr",
        predecessor_demonstration=before.demonstration if before else False,
        retracted=task.retracted,
    )
    made = []
    for kind, dataset in datasets(given):
        relative, digest = store.put_bytes(encoded(dataset), ".dcm")
        made.append(
            Composed(
                kind=kind,
                sop_class_uid=str(dataset.SOPClassUID),
                sop_instance_uid=str(dataset.SOPInstanceUID),
                path=relative,
                sha256=digest,
            )
        )
    checkpoints.hit("composed")
    return made


def _digest(path: Path) -> str:
    try:
        return read.digests(path, parsable=False)[0]
    except OSError as error:
        raise of_received(error) from error


def datasets(given: ReportInput) -> list[tuple[str, Dataset]]:
    """The objects of one result, by kind."""
    from ra_daemon.dicom.capture import compose_capture
    from ra_daemon.dicom.report import compose_report

    if given.kind != "sr":
        return [(given.kind, compose_report(given))]
    found: list[tuple[str, Dataset]] = [("sr", compose_report(given))]
    maps = [f for f in (given.scored.findings if given.scored else ()) if isinstance(f, Heatmap)]
    if maps and len(given.sources) == 1:
        found.append(("capture", compose_capture(given)))
    return found


def encoded(dataset: Dataset) -> bytes:
    """The bytes of a DICOM file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _sr_class(config: Config, task: ReportTask) -> SrClass:
    """One object serves all destinations, so the least capable of them decides its class.

    A report that is composed again stays what it was, whatever the peers are by now.
    """
    if task.sop_class_uid:
        return SR_CLASSES[task.sop_class_uid]
    wanted = {p.sr_class for p in config.peer if p.name in task.destinations}
    for name in ("enhanced", "comprehensive"):
        if name in wanted:
            return name
    return "comprehensive3d"
