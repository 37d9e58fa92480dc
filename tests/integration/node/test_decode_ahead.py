"""A decoder that never ends, in the real scorer process: its image fails, no other does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ra_daemon.config import Config, Log, Route, Scoring, Store
from ra_daemon.dicom.read import digests, read_header
from ra_daemon.domain import Claim, Failed, Lane, Origin, Outcome, Scored
from ra_daemon.worker.dispatcher import Dispatcher
from ra_daemon.worker.process import ScorerProcess
from tests.support.site import phantoms

IMAGES = 7
HANGING = 4


class Desk:
    """A queue that gives each claim once, a selection that takes all, and a book of records."""

    def __init__(self, claims: list[Claim]) -> None:
        self.claims = claims
        self.recorded: dict[int, Outcome] = {}

    def claim(
        self, _owner: str, limit: int, _lease: float, _lanes: object, _s: timedelta | None
    ) -> list[Claim]:
        taken, self.claims = self.claims[:limit], self.claims[limit:]
        return taken

    def split(self, claims: list[Claim]) -> tuple[list[Claim], list[Any]]:
        return claims, []

    def record(self, verdicts: Sequence[tuple[Claim, Outcome]], *, engine: str) -> None:
        assert engine
        self.recorded |= {c.job_id: outcome for c, outcome in verdicts}


def claim(number: int, path: Path, source: Path) -> Claim:
    return Claim(
        job_id=number, token="t", instance_id=number, path=path.name, header=read_header(source),
        origin=Origin(), attempt=1, lane=Lane.NORMAL, pipeline_digest="p", route="all",
        lease_until=datetime(2030, 1, 1, tzinfo=UTC), dataset_sha256=digests(source)[0],
    )  # fmt: skip


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """A file that can be opened and never read to its end: a pipe with a silent writer."""
    path = tmp_path / "hanging"
    os.mkfifo(path)
    silent = os.open(path, os.O_RDWR)
    yield path
    os.close(silent)


def test_a_hanging_decoder_costs_its_own_image_only(tmp_path: Path, hanging: Path) -> None:
    (tmp_path / "run").mkdir()
    files = phantoms(tmp_path, IMAGES, 5)
    paths = [hanging if n == HANGING else f for n, f in enumerate(files, 1)]
    claims = [claim(n, p, f) for n, (p, f) in enumerate(zip(paths, files, strict=True), 1)]
    config = Config(
        store=Store(root=tmp_path),
        scoring=Scoring(threads=1, batch=2, time_limit_s=6),
        log=Log(level="error"),
    )
    desk: Any = Desk(claims)
    worker = Dispatcher(
        config, desk, ScorerProcess(config, 0), owner="me", route_of=lambda _c: Route(name="all"),
        record=desk.record, digest_of=lambda _r, *, shadow: None, selection=desk,
    )  # fmt: skip
    try:
        while worker.step():
            pass
    finally:
        worker.close()
    failed = desk.recorded.pop(HANGING)
    assert isinstance(failed, Failed)
    assert (failed.blame, failed.retriable) == ("decode", False)
    assert sorted(desk.recorded) == [1, 2, 3, 5, 6, 7]
    assert all(isinstance(outcome, Scored) for outcome in desk.recorded.values())
