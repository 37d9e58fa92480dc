"""How long each step takes in this process: a histogram a step, for ``ra_job_seconds``."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets in seconds; a last one takes the rest."""


@dataclass(slots=True)
class Histogram:
    """Counts by bucket (the last: above all bounds) and the sum of the seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound as Prometheus writes it, number at or below it)."""
        running, found = 0, []
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            running += number
            found.append((bound, running))
        return found


_guard = threading.Lock()
_steps: dict[str, Histogram] = {}


def observe(step: str, seconds: float) -> None:
    """Count one run of a step."""
    with _guard:
        held = _steps.setdefault(step, Histogram())
        held.counts[bisect_left(BOUNDS, seconds)] += 1
        held.total += seconds


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Count what runs inside; also when it raises."""
    started = time.perf_counter()
    try:
        yield
    finally:
        observe(step, time.perf_counter() - started)


def snapshot() -> Mapping[str, Histogram]:
    """Copies by step, sorted."""
    with _guard:
        return {
            name: Histogram(counts=list(held.counts), total=held.total)
            for name, held in sorted(_steps.items())
        }
