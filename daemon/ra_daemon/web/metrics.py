"""Prometheus metrics, computed when they are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ra_daemon import scorers, steptimes
from ra_daemon.config import Config
from ra_daemon.domain import Reason
from ra_daemon.store import reconcile, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tally import REFUSED, SEND_FAILED, totals
from ra_daemon.web import facts

NOT_BY_THE_GATE = (Reason.UNREADABLE, Reason.NO_ROUTE, Reason.OWN_OUTPUT, Reason.NOT_SELECTED)
JOB_STATES = ("queued", "leased", "scored", "refused", "failed", "cancelled")


class NodeCollector(Collector):  # type: ignore[misc]
    """The figures of one node. Labels hold states, peers and models, never a patient."""

    def __init__(self, config: Config, engine: sa.Engine) -> None:
        self._config = config
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Nothing: the database is not asked at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counts = status.snapshot(self._engine)
        received = CounterMetricFamily("ra_objects_received", "Images that were admitted.")
        received.add_metric([], counts["received"])
        yield received
        jobs = GaugeMetricFamily("ra_jobs", "Images by what became of them.", labels=["state"])
        for state in JOB_STATES:
            jobs.add_metric([state], counts[state])
        yield jobs
        refused = GaugeMetricFamily("ra_refusals", "Current refusals.", labels=["reason"])
        for reason, number in status.refusal_counts(self._engine).items():
            refused.add_metric([reason], number)
        yield refused
        gate = GaugeMetricFamily(
            "ra_gate_images", "Images that the gate let pass or refused.", labels=["verdict"]
        )
        by_reason = status.refusal_counts(self._engine)
        outside = sum(by_reason.get(r, 0) for r in NOT_BY_THE_GATE)
        gate.add_metric(["passed"], counts["scored"] + counts["retracted"])
        gate.add_metric(["refused"], sum(by_reason.values()) - outside)
        yield gate
        yield _gauge("ra_queue_oldest_seconds", "Age of the oldest queued job.",
                     counts["oldest_queued_s"] or 0.0)  # fmt: skip
        yield _gauge("ra_unaccounted", "Images without job and verdict; must be 0.",
                     counts["unaccounted"])  # fmt: skip
        yield from self._ages()
        yield from steps()
        yield from self._deliveries()
        yield self._discrepancies()
        yield _gauge("ra_purged_images", "Images whose pixels were removed.", counts["purged"])
        yield self._tally("ra_send_failures", "Failed attempts to send.", SEND_FAILED, "dest")
        yield self._tally("ra_associations_refused", "Callers turned away.", REFUSED, "reason")
        yield _gauge("ra_disk_free_bytes", "Free space below the store.",
                     shutil.disk_usage(self._config.root).free)  # fmt: skip
        yield from self._models()
        yield from self._scorers()

    def _deliveries(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "ra_deliveries", "Objects on their way.", labels=["dest", "state"]
        )
        for (destination, state), number in facts.unsent(self._engine).items():
            family.add_metric([destination, state], number)
        yield family
        yield _gauge("ra_unreconciled_studies", "Studies with an object that is still due.",
                     facts.unreconciled(self._engine))  # fmt: skip

    def _ages(self) -> Iterator[Metric]:
        """How long the oldest of each line has waited."""
        lanes = GaugeMetricFamily(
            "ra_lane_oldest_seconds", "Age of the oldest queued job of a lane.", labels=["lane"]
        )
        peers = GaugeMetricFamily(
            "ra_delivery_oldest_seconds", "Age of the oldest undelivered object.", labels=["dest"]
        )
        ages = facts.ages(self._engine)
        for lane, seconds in ages.lanes.items():
            lanes.add_metric([lane], seconds)
        for destination, seconds in ages.deliveries.items():
            peers.add_metric([destination], seconds)
        yield lanes
        yield peers
        yield _gauge("ra_report_oldest_seconds", "Age of the oldest report to be composed.",
                     ages.report)  # fmt: skip

    def _discrepancies(self) -> Metric:
        """Rows live, files as of the last comparison."""
        family = GaugeMetricFamily(
            "ra_discrepancies", "What rows, files and counts do not agree on.", labels=["code"]
        )
        found = reconcile.rows(self._engine, ObjectStore(self._config.root))
        found += reconcile.last(self._config.root)[1]
        numbers = {one.code: one.number for one in found}
        for code in reconcile.REMEDIES:  # a series that is always there can be alarmed on
            family.add_metric([code], numbers.get(code, 0))
        return family

    def _tally(self, name: str, words: str, family: str, label: str) -> Metric:
        counter = CounterMetricFamily(name, words, labels=[label])
        for value, number in totals(self._config.root, family).items():
            counter.add_metric([value], number)
        return counter

    def _models(self) -> Iterator[Metric]:
        labels = ["bundle", "version", "engine", "demonstration"]
        info = GaugeMetricFamily(
            "ra_model_info", "Models that gave current results.", labels=labels
        )
        mean = GaugeMetricFamily("ra_score_mean", "Mean total of two-hand images.", labels=labels)
        for row in facts.models(self._engine):
            values = [str(row[k]) for k in ("bundle", "bundle_version", "engine")]
            values.append("true" if row["demonstration"] else "false")
            info.add_metric(values, 1)
            mean.add_metric(values, row["mean"])
        yield info
        yield mean

    def _scorers(self) -> Iterator[Metric]:
        labels = ["node", "scorer", "role"]
        ready = GaugeMetricFamily(
            "ra_scorer_ready",
            "Whether a scorer has loaded its models; alarm on 0 that lasts.",
            labels=labels,
        )
        info = GaugeMetricFamily(
            "ra_engine_info",
            "Engines of the scorers.",
            labels=[*labels, "engine", "precision", "device"],
        )
        fallback = GaugeMetricFamily(
            "ra_engine_passed_over",
            "Engines that the configuration names first and that could not be had; alarm on 1.",
            labels=[*labels, "wanted", "code"],
        )
        for told in scorers.states(self._config.root):
            whose = [told.node, str(told.index), told.role]
            ready.add_metric(whose, float(told.ready))
            if told.engine is None:
                continue
            engine = told.engine
            info.add_metric([*whose, engine.engine, engine.precision, engine.device], 1)
            for passed in engine.passed:
                fallback.add_metric([*whose, passed.candidate, passed.code], 1)
        yield ready
        yield info
        yield fallback


def steps() -> Iterator[Metric]:
    """Seconds by step, of this process since its start."""
    family = HistogramMetricFamily(
        "ra_job_seconds", "Seconds that a step takes for one image.", labels=["step"]
    )
    for step, held in steptimes.snapshot().items():
        family.add_metric([step], held.cumulative(), held.total)
    yield family


def render(config: Config, engine: sa.Engine) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(config, engine))
    text: bytes = generate_latest(registry)
    return text


def _gauge(name: str, words: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, words)
    family.add_metric([], value)
    return family
