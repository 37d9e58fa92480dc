"""What runs by the clock: aggregates after the quiet period, retention, sweeping."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from ra_daemon import log, plugins
from ra_daemon.config import Config
from ra_daemon.faults import log_fields
from ra_daemon.store import reconcile, removals, retention, studies
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.reconcile import Discrepancy
from ra_daemon.worker.aggregate import total_of
from ra_engine.manifest import Manifest

_log = log.get(__name__)
_FILES_EVERY_S = 3600.0


class Housekeeping:
    """The schedule of one node; one thread, no job store."""

    def __init__(self, config: Config, engine: Engine, store: ObjectStore) -> None:
        self._config = config
        self._engine = engine
        self._store = store
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._files_due = 0.0
        self._manifests: dict[str, Manifest] = {}

    def start(self) -> None:
        """Begin."""
        quiet = max(0.5, min(15.0, self._config.schedule.quiet_s / 4))
        self._every(quiet, self.aggregate)
        self._every(self._config.schedule.reconcile_s, self.retain)
        self._every(self._config.schedule.reconcile_s, self.reconcile)
        self._scheduler.start()

    def stop(self) -> None:
        """End; a running chore finishes."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def aggregate(self) -> None:
        """Sum the two single-hand images of every study that has become quiet."""
        for key in studies.quiet_studies(self._engine, self._config.schedule.quiet_s):
            summed = total_of(key.left.scored, key.right.scored, self._manifest_of, key.repeated)
            if summed is None:
                continue
            route = next((r for r in self._config.route if r.name == key.later.route), None)
            studies.record_aggregate(
                self._engine,
                key,
                summed,
                destinations=route.destinations if route else (),
                deliver=route.deliver if route else "database-only",
            )
            _log.info("study.aggregated", study=log.uid_key(key.study_instance_uid))

    def _manifest_of(self, digest: str) -> Manifest | None:
        """Of the bundle with that digest; None when it is not here any more."""
        if digest not in self._manifests:
            bundle = plugins.bundle_of(digest, self._config.root)
            if bundle is None:
                return None
            self._manifests[digest] = bundle.manifest
        return self._manifests[digest]

    def retain(self) -> None:
        """Finish removals that a crash left, then purge what ``retain_pixels_days`` lets go."""
        removed = removals.finish(self._engine, self._store)
        days = self._config.schedule.retain_pixels_days
        if days is not None:
            chosen = retention.Selection(older_than=timedelta(days=days))
            why = f"older than {days:g} days"
            purged = retention.purge(self._engine, chosen, who="retention", why=why)
            removed += removals.finish(self._engine, self._store)
            if purged.images:
                _log.info("store.purged", images=purged.images, files=purged.files)
        if removed:
            _log.info("store.removed", files=removed)

    def reconcile(self) -> None:
        """Compare rows, files and counts; tell each discrepancy, with its code and number."""
        swept = self._store.sweep_temp()
        found = reconcile.rows(self._engine, self._store)
        if time.monotonic() >= self._files_due:
            found += self._compare_files()
        free_gb = self._store.free_bytes() / 2**30
        _log.info("store.reconciled", found=len(found), swept=swept, free_gb=round(free_gb, 1))
        for one in found:
            _log.warning("store.differs", code=one.code, number=one.number, rows=one.examples)
        if free_gb < 2 * self._config.store.least_free / 2**30:
            _log.warning("store.low", free_gb=round(free_gb, 1))

    def _compare_files(self) -> list[Discrepancy]:
        """Look at every file; at most a twentieth of the time goes into it."""
        started = time.monotonic()
        found = reconcile.files(self._engine, self._store)
        reconcile.save(self._store, found)
        took = time.monotonic() - started
        self._files_due = time.monotonic() + max(_FILES_EVERY_S, 20 * took)
        return found

    def _every(self, seconds: float, chore: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                chore()
            except Exception as error:  # noqa: BLE001 - a chore must not end the schedule
                _log.error("chore.failed", chore=chore.__name__, **log_fields(error))

        self._scheduler.add_job(guarded, "interval", seconds=seconds, max_instances=1)
