"""PostgreSQL and two scorer processes: every image exactly once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.databases import postgres_cluster
from tests.support.processes import run_node, wait_until
from tests.support.site import (
    CAPTURE,
    REPORTS,
    phantoms,
    send,
    sink_pacs,
    sources,
    uids,
    write_site,
)

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]

VERDICTS = (
    "SELECT count(DISTINCT u) FROM (SELECT sop_instance_uid u FROM v1_results "
    "UNION ALL SELECT sop_instance_uid FROM v1_refusals) verdicts"
)
OPEN = "SELECT count(*) FROM v1_deliveries WHERE state IN ('pending', 'sending')"
DUE = "SELECT count(*) FROM report WHERE state = 'due'"


def scorers(log: Path) -> set[str]:
    """Processes that scored, by the lines that they wrote at that step."""
    lines = [line.split() for path in log.glob("*.log") for line in path.read_text().splitlines()]
    return {words[2] for words in lines if words[0] == "score"}


@pytest.mark.timeout(300)
def test_two_scorers_do_each_job_once(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 12, 61, size=320)
    with postgres_cluster() as url, sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer], url=url, scoring="workers = 2\nbatch = 2")
        engine = sa.create_engine(sa.engine.make_url(url).set(drivername="postgresql+psycopg"))

        def number(query: str) -> int:
            with engine.connect() as conn:
                return int(conn.execute(sa.text(query)).scalar_one())

        def done() -> bool:
            return number(VERDICTS) == len(files) and number(OPEN) == 0 and number(DUE) == 0

        log = tmp_path / "checkpoints"
        log.mkdir()
        with run_node(site, env={"RA_DAEMON_CHECKPOINT_DIR": str(log)}) as node:
            assert set(send(node.port, files).values()) == {0x0000}
            wait_until(done, 120, every=0.3)
            assert node.process.poll() is None
        with engine.connect() as conn:
            query = "SELECT sop_instance_uid FROM v1_results WHERE kind = 'svdh_total'"
            totals = Counter(conn.execute(sa.text(query)).scalars())
        engine.dispose()
        assert totals == Counter(uids(files))
        assert len(scorers(log)) == 2, "only one process scored: nothing was shown"
        for classes in (REPORTS, {CAPTURE}):
            made = Counter(uid for ds in sink.datasets(classes) for uid in sources(ds))
            assert made == Counter(uids(files))
        assert set(Counter(k.sop_instance for k in sink.kept).values()) == {1}
