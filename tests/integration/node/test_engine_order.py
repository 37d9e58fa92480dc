"""A node whose first engine cannot be had scores with the next one, and says so everywhere."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from ra_daemon.config import Config, Scoring, Store
from ra_daemon.errors import ScorerUnreadyError
from ra_daemon.worker.process import ScorerProcess
from tests.support.processes import run_node, wait_until
from tests.support.site import column, phantoms, rows, send, web_port, write_site

pytestmark = pytest.mark.xdist_group("node without peers")


@pytest.mark.timeout(180)
def test_what_is_passed_over_stands_in_log_metrics_and_rows(tmp_path: Path) -> None:
    order = '[engine]\nbackends = ["onnxruntime:int8"]\n'
    site = write_site(tmp_path / "site", [], tables=order)
    files = phantoms(tmp_path / "in", 1, 63, size=320)
    with run_node(site) as node:
        send(node.port, files)
        scored = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"
        wait_until(lambda: column(site, scored) == [1], 90)
        found = rows(site, "SELECT DISTINCT engine, precision, device FROM v1_results "
                     "WHERE engine <> ''")  # fmt: skip
        page = urllib.request.urlopen(f"http://127.0.0.1:{web_port(site)}/metrics").read().decode()
        text = node.text()
    assert [(r["precision"], r["device"]) for r in found] == [("fp32", "cpu")]
    assert found[0]["engine"].startswith("onnxruntime-")
    assert 'ra_engine_passed_over{code="backend.engine"' in page
    assert f'engine="{found[0]["engine"]}"' in page
    assert "engine.passed_over" in text
    assert "ra-daemon models build" in text
    assert "engine.chosen" in text


def test_a_process_that_cannot_load_its_models_says_why(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    config = Config(store=Store(root=tmp_path), scoring=Scoring(bundle="nowhere"))
    process = ScorerProcess(config, 0)
    with pytest.raises(ScorerUnreadyError, match="No bundle 'nowhere'") as caught:
        process.start()
    assert "models install" in caught.value.hint
    assert not process.alive
    assert process.engine == ""
