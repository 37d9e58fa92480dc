"""The query that people copy: one row an image, whatever was scored again or on trial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ra_daemon.store.engine import open_engine
from ra_daemon.store.query import run_query
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from tests.support.paths import REPOSITORY
from tests.support.verdicts import admission, record, scored


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_recipe_gives_one_row_an_image(tmp_path: Path, page: str) -> None:
    (sql,) = re.findall(r'ra-daemon query "([^"]+)"', (REPOSITORY / page).read_text())
    url = f"sqlite:///{tmp_path / 'ra-daemon.db'}"
    engine = open_engine(url)
    upgrade(engine)
    queue = JobQueue(engine)
    record(engine, queue, admission(), scored(value=40))
    record(engine, queue, admission(), scored(value=42), pipeline="q" * 64)
    record(engine, queue, admission(), scored(value=99), pipeline="s" * 64, role="shadow")
    engine.dispose()
    columns, rows = run_query(url, sql)
    assert columns == ["patient_id", "study_date", "value", "low", "high"]
    assert [(row[0], row[2]) for row in rows] == [("P1", 42)]
