"""Health, metrics, page: what they say, and what they never say."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from ra_daemon import steptimes
from ra_daemon.config import LEAST_FREE, Config, Store, Web
from ra_daemon.domain import Failed, Reason, Refused
from ra_daemon.errors import ConfigError
from ra_daemon.store import reconcile
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import upgrade
from ra_daemon.store.tally import REFUSED, SEND_FAILED, Tally
from ra_daemon.web.app import create_app
from ra_daemon.web.server import WebServer, check_bind
from tests.support import verdicts
from tests.support.paths import REPOSITORY


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(store=Store(root=tmp_path, reserve_gb=0), web=Web(port=0))


@pytest.fixture
def engine(config: Config) -> Iterator[sa.Engine]:
    engine = open_engine(config.database_url)
    upgrade(engine)
    yield engine
    engine.dispose()


def test_health_and_readiness(config: Config, engine: sa.Engine) -> None:
    listening = [True]
    client = TestClient(create_app(config, engine, ready=lambda: listening[0]))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {
        "ready": True, "port": True, "database": True, "disk": True,
    }  # fmt: skip
    listening[0] = False
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["port"] is False


@pytest.mark.parametrize("again", [False, True])
def test_a_database_file_that_is_gone_or_another_is_not_ready(
    config: Config, engine: sa.Engine, *, again: bool
) -> None:
    client = TestClient(create_app(config, engine))
    assert client.get("/readyz").json()["database"] is True
    path = Path(engine.url.database or "")
    path.rename(path.with_name("moved.db"))
    if again:
        path.write_bytes(b"")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, False)


def test_a_full_disk_is_not_ready(config: Config, engine: sa.Engine) -> None:
    full = config.model_copy(update={"store": Store(root=config.root, reserve_gb=1e9)})
    assert TestClient(create_app(full, engine)).get("/readyz").json()["disk"] is False


def test_without_a_reserve_a_full_disk_is_not_ready_either(
    config: Config, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.store.reserve_gb == 0
    client = TestClient(create_app(config, engine))
    for free, good in ((0, False), (LEAST_FREE - 1, False), (LEAST_FREE, True)):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("ra_daemon.web.app.shutil.disk_usage", lambda _path, u=usage: u)
        answer = client.get("/readyz")
        assert (answer.json()["disk"], answer.status_code == 200) == (good, good)


def test_metrics_count_and_parse(config: Config, engine: sa.Engine) -> None:
    queue = JobQueue(engine)
    verdicts.record(engine, queue, verdicts.admission("1.2.3.1"), Refused(reason=Reason.CAST))
    text = TestClient(create_app(config, engine)).get("/metrics").text
    samples = {
        (s.name, *s.labels.values()): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    assert samples["ra_objects_received_total",] == 1
    assert samples["ra_jobs", "refused"] == 1
    assert samples["ra_refusals", "cast"] == 1
    assert samples["ra_disk_free_bytes",] > 0


def test_metrics_tell_failed_sends_and_refused_callers(config: Config, engine: sa.Engine) -> None:
    for name in ("receiver-0", "receiver-1"):
        Tally(config.root, name).add(REFUSED, "pdu_too_long")
    Tally(config.root, "receiver-1").add(REFUSED, "unknown_peer")
    for _ in range(3):  # a restart goes on counting
        Tally(config.root, "node").add(SEND_FAILED, "main")
    text = TestClient(create_app(config, engine)).get("/metrics").text
    for line in (
        'ra_send_failures_total{dest="main"} 3.0',
        'ra_associations_refused_total{reason="pdu_too_long"} 2.0',
        'ra_associations_refused_total{reason="unknown_peer"} 1.0',
    ):
        assert line in text.splitlines()


def test_nothing_names_a_patient(config: Config, engine: sa.Engine) -> None:
    made = verdicts.admission("1.2.3.4")
    assert made.header is not None
    verdicts.record(engine, JobQueue(engine), made, Refused(reason=Reason.CAST))
    secrets = {made.header.sop_instance_uid, made.header.patient_id, made.header.accession_number}
    client = TestClient(create_app(config, engine))
    for path in ("/", "/metrics", "/readyz", "/api/v1/status", "/api/v1/results"):
        text = client.get(path).text
        assert [s for s in secrets if s and len(s) > 3 and s in text] == []


def test_the_page_runs_no_script_and_loads_nothing(config: Config, engine: sa.Engine) -> None:
    answer = TestClient(create_app(config, engine)).get("/")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "http" not in answer.text


def test_a_total_without_an_interval_is_shown_as_one(config: Config, engine: sa.Engine) -> None:
    """Of two single-hand images whose bundle has no table for sums."""
    bare = replace(verdicts.scored(), findings=(verdicts.total(42.0, interval=None),))
    verdicts.record(engine, JobQueue(engine), verdicts.admission("1.5"), bare)
    page = TestClient(create_app(config, engine)).get("/").text
    assert "svdh_total" in page
    assert ">none</td>" in page


def test_the_server_serves_in_a_thread_and_stops(config: Config, engine: sa.Engine) -> None:
    server = WebServer(config, engine)
    server.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=10) as page:
            assert page.status == 200
    finally:
        server.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_a_taken_port_is_an_os_error(config: Config, engine: sa.Engine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        there = Web(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            WebServer(config.model_copy(update={"web": there}), engine).start()


def test_pages_stay_here_unless_the_file_says_so() -> None:
    check_bind(Config(web=Web(host="127.0.0.1")))
    check_bind(Config(web=Web(host="0.0.0.0", allow_remote=True)))
    with pytest.raises(ConfigError, match="beyond this machine"):
        check_bind(Config(web=Web(host="0.0.0.0")))


def test_the_metrics_page_tells_every_metric(config: Config, engine: sa.Engine) -> None:
    steptimes.observe("score", 0.2)
    Tally(config.root, "x").add(REFUSED, "unknown_peer")
    text = TestClient(create_app(config, engine)).get("/metrics").text
    families = {f.name: f for f in text_string_to_metric_families(text)}
    page = (REPOSITORY / "docs" / "metrics.md").read_text()
    counters = {"ra_objects_received", "ra_send_failures", "ra_associations_refused"}
    names = {n + "_total" if n in counters else n for n in families}
    assert {n for n in names if f"`{n}`" not in page} == set()
    assert {s.labels["step"] for s in families["ra_job_seconds"].samples} >= {"score"}
    codes = {s.labels["code"] for s in families["ra_discrepancies"].samples}
    assert codes == set(reconcile.REMEDIES)
    assert {c for c in codes if f"`{c}`" not in page} == set()
    lanes = {s.labels["lane"] for s in families["ra_lane_oldest_seconds"].samples}
    assert lanes == {"stat", "normal", "off_hours", "shadow"}


def test_metrics_tell_ages_gate_and_discrepancies(config: Config, engine: sa.Engine) -> None:
    queue = JobQueue(engine)
    verdicts.record(engine, queue, verdicts.admission("1.1"), Refused(reason=Reason.CAST))
    verdicts.record(engine, queue, verdicts.admission("1.2"), Refused(reason=Reason.NO_ROUTE))
    verdicts.record(engine, queue, verdicts.admission("1.3"), verdicts.scored())
    verdicts.enqueue(engine, queue, first=9)
    (job,) = queue.claim("w", 1, 60, verdicts.ALL_LANES)
    queue.fail(job, Failed(code="x", message="", retriable=False), 1, 0)
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE report SET created_at = '2026-01-01T00:00:00.000000Z'"))
    text = TestClient(create_app(config, engine)).get("/metrics").text
    found = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
             for line in text.splitlines() if not line.startswith("#")}  # fmt: skip
    assert found['ra_gate_images{verdict="passed"}'] == 1
    assert found['ra_gate_images{verdict="refused"}'] == 1
    assert found["ra_report_oldest_seconds"] > 3600
    assert found['ra_discrepancies{code="jobs_failed"}'] == 1
    assert found['ra_discrepancies{code="reports_waiting"}'] == 1
