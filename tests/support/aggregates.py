"""A site whose study of two single-hand images was aggregated by the node's own housekeeping."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from pydicom import Dataset, dcmread

from ra_daemon.config import Config, Peer, Route, Schedule, Store
from ra_daemon.dicom import read
from ra_daemon.dicom.report_input import SrClass
from ra_daemon.domain import Composed
from ra_daemon.steps.compose import compose
from ra_daemon.store import reports
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.reports import ReportTask
from ra_daemon.store.schema import upgrade
from ra_daemon.worker.housekeeping import Housekeeping
from tests.support import dicom_sources, verdicts
from tests.support.pairs import Hands, demo, model_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """The database, the object store and the sources of one aggregated study."""

    engine: sa.Engine
    store: ObjectStore
    left: Dataset
    right: Dataset

    def config(self, sr_class: SrClass = "comprehensive3d") -> Config:
        """A node with one peer that takes reports of that class."""
        peer = Peer(name="PACS", ae_title="PACS", port=104, sr_class=sr_class)
        return Config(
            store=Store(root=self.store.root, reserve_gb=0),
            schedule=Schedule(quiet_s=0),
            peer=(peer,),
            route=(Route(name="all", destinations=("PACS",)),),
        )

    @property
    def task(self) -> ReportTask:
        """The aggregate's report that is due."""
        due = reports.due_reports(self.engine, self.store, 9)
        (task,) = [t for t in due if t.kind == "aggregate"]
        return task

    def composed(self, sr_class: SrClass = "comprehensive3d") -> list[Composed]:
        """What the node makes of it."""
        return compose(self.task, self.store, self.config(sr_class))

    def report(self, sr_class: SrClass = "comprehensive3d") -> Path:
        """The file of its report."""
        (made,) = self.composed(sr_class)
        return self.store.open_path(made.path)

    def rows(self) -> list[dict[str, object]]:
        """Its rows of ``v1_results``."""
        sql = "SELECT * FROM v1_results WHERE derived_from IS NOT NULL"
        with self.engine.connect() as conn:
            return [dict(r) for r in conn.execute(sa.text(sql)).mappings()]


@contextmanager
def aggregated(root: Path, *, seed: int = 1, retaken: bool = False) -> Iterator[Aggregated]:
    """The right hand comes first, so that nothing can rest on the order of admission.

    Args:
        root: of the site's store.
        seed: of the two verdicts.
        retaken: another image of the left hand was scored before.
    """
    engine = open_engine(f"sqlite:///{root / 'ra-daemon.db'}")
    upgrade(engine)
    store = ObjectStore(root)
    bundle = demo()
    scored = Hands.drawn(bundle.manifest, seed).apart(bundle.manifest, model_of(bundle))
    sources = []
    takes = [("left.1", scored[0])] if retaken else []
    for take, verdict in [*takes, ("right", scored[1]), ("left", scored[0])]:
        path = dicom_sources.clean(root / f"{take}.dcm", hands=take.partition(".")[0])
        if take == "left.1":
            first = dcmread(path)
            first.SOPInstanceUID += ".1"
            first.save_as(path)
        relative, _sha = store.put_bytes(path.read_bytes(), ".dcm")
        made = replace(
            verdicts.admission(), path=relative, dataset_sha256=read.digests(path)[0],
            pixel_sha256=take, header=read.read_header(path),
        )  # fmt: skip
        verdicts.record(engine, JobQueue(engine), made, verdict)
        sources.append(dcmread(path, stop_before_pixels=True))
    found = Aggregated(engine=engine, store=store, left=sources[-1], right=sources[-2])
    Housekeeping(found.config(), engine, store).aggregate()
    yield found
    engine.dispose()
