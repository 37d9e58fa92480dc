"""A plugin that raises, hangs (also in native code) or eats memory loses only its own job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import thirdparty
from tests.support.processes import run_node, wait_until
from tests.support.site import column, phantoms, rows, send, uids, write_site

pytestmark = pytest.mark.xdist_group("node")
BAD_JOB = 2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["raiser", "sleeper", "native_hang", "eater"])
def test_only_the_bad_job_is_lost(tmp_path: Path, kind: str) -> None:
    plugins = thirdparty.install("ra_scorer_bad", tmp_path / "plugins")
    files = phantoms(tmp_path / "in", 4, 61, size=320)
    limits = "time_limit_s = 6.0\nmemory_limit_mb = 1200\nmax_attempts = 1\nbatch = 4"
    site = write_site(tmp_path / "site", [], scoring=limits, route=f'scorers = ["svdh", "{kind}"]')
    env = {"PYTHONPATH": str(plugins), "RA_BAD_TRIGGER": str(BAD_JOB)}
    with run_node(site, env=env) as node:
        assert set(send(node.port, files).values()) == {0x0000}
        ended = "SELECT count(*) FROM v1_jobs WHERE state IN ('scored', 'failed')"
        wait_until(lambda: column(site, ended) == [4], 120)
        jobs = rows(site, "SELECT job_id, state, attempts, blame, cause FROM v1_jobs ORDER BY 1")
        assert [j["state"] for j in jobs] == ["scored", "failed", "scored", "scored"]
        assert kind in jobs[1]["blame"]
        assert {j["attempts"] for j in jobs if j["job_id"] != BAD_JOB} <= {0, 1}

        later = phantoms(tmp_path / "later", 1, 62, size=320)
        send(node.port, later)
        wait_until(lambda: column(site, ended) == [5], 60)
        scored = column(site, "SELECT DISTINCT sop_instance_uid FROM v1_results")
        assert uids(later) <= set(scored)
        assert "DOE^JANE" not in node.text()


def test_a_third_party_scorer_is_stored(tmp_path: Path) -> None:
    plugins = thirdparty.install("ra_scorer_mean", tmp_path / "plugins")
    files = phantoms(tmp_path / "in", 1, 63, size=320)
    site = write_site(tmp_path / "site", [], route='scorers = ["svdh", "mean"]')
    with run_node(site, env={"PYTHONPATH": str(plugins)}) as node:
        send(node.port, files)
        ended = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"
        wait_until(lambda: column(site, ended) == [1], 60)
        kinds = set(column(site, "SELECT DISTINCT kind FROM v1_results"))
        assert {"svdh_total", "svdh_member"} <= kinds
        assert len(kinds - {"svdh_total", "svdh_member"}) >= 1
