"""What runs by the clock: aggregates after the quiet period, retention, sweeping."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Scored
from ra_daemon.store import reconcile, removals, retention, studies
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.reconcile import Discrepancy
from ra_engine.types import Finding, Interval, Measurement, QualityFlag, Side

_log = log.get(__name__)
_FILES_EVERY_S = 3600.0
TOTAL = ("RA0001", "99RADAEMON", "Estimated SvdH score, both hands, range 0-280")


class Housekeeping:
    """The schedule of one node; one thread, no job store."""

    def __init__(self, config: Config, engine: Engine, store: ObjectStore) -> None:
        self._config = config
        self._engine = engine
        self._store = store
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._files_due = 0.0

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
            summed = total_of(key.left.scored, key.right.scored)
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
        if free_gb < 2 * self._config.store.reserve_gb:
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
                _log.error("chore.failed", chore=chore.__name__, error=type(error).__name__)

        self._scheduler.add_job(guarded, "interval", seconds=seconds, max_instances=1)


def total_of(left: Scored, right: Scored) -> Scored | None:
    """The total of two single-hand images of one bundle, engine and preprocessing.

    Its interval: each limit's distance is the root of the sum of the squares of the hands'
    distances; wider than the truth where the hands' errors are independent of each other.
    """
    values = [_score_of(s) for s in (left, right)]
    if values[0] is None or values[1] is None or values[0].model != values[1].model:
        return None
    a, b = values[0], values[1]
    value = a.value + b.value
    findings: list[Finding] = [
        Measurement(
            kind="svdh_total",
            label="aggregate of two images",
            value=value,
            units=a.units,
            code=TOTAL,
            model=a.model,
            interval=_combined(a, b),
            scale_max=280.0,
        ),
        replace(a, view=None),
        replace(b, view=None),
        QualityFlag(code="aggregate", text="Sum of two images, one hand each."),
    ]
    return Scored(
        views=(),
        findings=tuple(findings),
        laterality=Side.UNKNOWN,
        laterality_source="tags",
        hands="both",
    )


def _score_of(scored: Scored) -> Measurement | None:
    kinds = ("svdh_left", "svdh_right")
    found = [f for f in scored.findings if isinstance(f, Measurement) and f.kind in kinds]
    return found[0] if found else None


def _combined(a: Measurement, b: Measurement) -> Interval | None:
    if a.interval is None or b.interval is None:
        return None
    value = a.value + b.value
    down = ((a.value - a.interval.low) ** 2 + (b.value - b.interval.low) ** 2) ** 0.5
    up = ((a.interval.high - a.value) ** 2 + (b.interval.high - b.value) ** 2) ** 0.5
    low, high = max(0.0, value - down), min(280.0, value + up)
    return Interval(low=low, high=high, level=a.interval.level)
