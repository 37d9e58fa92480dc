"""The node's page in a real browser: it shows what it should, in both widths, without complaint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Store, Web
from ra_daemon.domain import Reason, Refused
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from ra_daemon.web.server import WebServer
from tests.support import verdicts
from tests.support.browser import show

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("chromium")]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    config = Config(store=Store(root=tmp_path, reserve_gb=0), web=Web(port=0))
    engine: sa.Engine = open_engine(config.database_url)
    upgrade(engine)
    queue = JobQueue(engine)
    verdicts.record(engine, queue, verdicts.admission("1.1"), Refused(reason=Reason.CAST))
    verdicts.record(engine, queue, verdicts.admission("1.2"), verdicts.scored())
    server = WebServer(config, engine)
    server.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.stop()
    engine.dispose()


def test_the_overview_shows_scores_and_refusals(page: str, tmp_path: Path) -> None:
    shown = show(page, tmp_path)
    assert shown.console == ()
    assert "90 % prediction interval" in shown.dom
    assert "cast" in shown.dom
    banner = (shown.picture == (0x8A, 0x1C, 0x1C)).all(2)
    assert banner.mean() > 0.01  # the style sheet is applied: its policy lets it


def test_the_overview_fits_a_telephone(page: str, tmp_path: Path) -> None:
    narrow = show(page, tmp_path, width=480, height=1600)
    assert narrow.console == ()
    assert narrow.picture.shape[1] == 480
    margin = narrow.picture[:, 466:]  # a table that is too wide scrolls by itself
    assert (margin == narrow.picture[0, 479]).all()
