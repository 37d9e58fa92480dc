"""An engine that cannot be had, or that fails at work, is the node's fault: no job is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ra_daemon import scorers
from ra_daemon.config import Config, Engine, Log, Scoring, Store
from ra_daemon.errors import ScorerUnreadyError
from ra_daemon.worker.process import ScorerProcess
from tests.support import thirdparty
from tests.support.bundles import score_bundle
from tests.support.processes import command, run_node, wait_until
from tests.support.site import column, phantoms, rows, send, web_port, write_site

pytestmark = pytest.mark.xdist_group("node without peers")

SCORED = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of the engine that there are now, and how a node meets them."""

    folder: Path
    plugins: Path

    @property
    def env(self) -> dict[str, str]:
        return {"RA_BAD_ENGINE": str(self.folder), "PYTHONPATH": str(self.plugins)}

    def make(self, name: str) -> None:
        (self.folder / name).touch()

    def mend(self, name: str) -> None:
        (self.folder / name).unlink()


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = thirdparty.install("ra_backend_bad", tmp_path_factory.mktemp("plugins"))
    thirdparty.instead_of_ours(
        folder, "ra_engine.backends", "onnxruntime", "ra_backend_bad:BadBackend"
    )
    return folder


@pytest.fixture
def faults(tmp_path: Path, plugins: Path) -> Faults:
    folder = tmp_path / "faults"
    folder.mkdir()
    return Faults(folder, plugins)


@pytest.fixture
def here(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """The faulty backend for scorer processes that the test itself starts."""
    monkeypatch.syspath_prepend(faults.plugins)
    monkeypatch.setenv("RA_BAD_ENGINE", str(faults.folder))
    return faults


def metrics(site: Path) -> list[str]:
    page = urllib.request.urlopen(f"http://127.0.0.1:{web_port(site)}/metrics", timeout=30)
    return [line for line in page.read().decode().splitlines() if line.startswith("ra_")]


def is_ready(site: Path) -> float | None:
    """The gauge; None while there is no page yet."""
    try:
        (line,) = [m for m in metrics(site) if m.startswith("ra_scorer_ready{")]
    except urllib.error.URLError:
        return None
    return float(line.rpartition(" ")[2])


def told(site: Path, name: str) -> Any:
    done = subprocess.run(
        [*command("ra-daemon"), name, "--json", "--config", str(site / "ra-daemon.toml")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_without_an_engine_the_jobs_are_kept_and_then_scored(
    tmp_path: Path, faults: Faults
) -> None:
    files = phantoms(tmp_path / "in", 4, 71, size=320)
    site = write_site(tmp_path / "site", [])
    faults.make("driver-demo")
    with run_node(site, env=faults.env) as node:
        wait_until(lambda: "scorer.unready" in node.text(), 60)  # before there is an image
        wait_until(lambda: is_ready(site) == 0, 10)
        assert set(send(node.port, files).values()) == {0x0000}
        wait_until(lambda: len(rows(site, "SELECT * FROM v1_jobs")) == 4, 60)
        failures = node.text().count("scorer.unready")
        wait_until(lambda: node.text().count("scorer.unready") >= failures + 2, 60)
        jobs = rows(site, "SELECT state, attempts, cause FROM v1_jobs")
        assert jobs == [{"state": "queued", "attempts": 0, "cause": ""}] * 4
        (scorer,) = told(site, "status")["scorers"]
        assert (scorer["ready"], "driver does not answer" in scorer["found"]) == (False, True)
        (check,) = [c for c in told(site, "doctor")["checks"] if c["name"] == "scorer 0"]
        assert (check["ok"], check["remedy"]) == (False, "Run nvidia-smi.")

        faults.mend("driver-demo")
        wait_until(lambda: column(site, SCORED) == [4], 120)
        assert is_ready(site) == 1
        assert column(site, "SELECT DISTINCT attempts FROM v1_jobs") == [0]
        assert node.stop() == 0
    assert "Traceback" not in node.text()
    assert list(scorers.states(site / "store")) == []


@pytest.mark.timeout(240)
def test_a_dead_context_costs_no_image_an_attempt(tmp_path: Path, faults: Faults) -> None:
    files = phantoms(tmp_path / "in", 5, 72, size=320)
    site = write_site(tmp_path / "site", [])
    with run_node(site, env=faults.env) as node:
        wait_until(lambda: "scorer.ready" in node.text(), 60)
        faults.make("context-demo")
        send(node.port, files)
        wait_until(lambda: column(site, SCORED) == [5], 120)
        assert "scorer.engine_lost" in node.text()
        assert column(site, "SELECT DISTINCT attempts FROM v1_jobs") == [0]
        assert column(site, "SELECT DISTINCT cause FROM v1_jobs") == [""]


@pytest.mark.timeout(120)
def test_a_node_whose_engine_hangs_at_its_load_opens_its_port_and_drains(
    tmp_path: Path, faults: Faults
) -> None:
    site = write_site(tmp_path / "site", [])
    faults.make("hangs")
    with run_node(site, env=faults.env) as node:
        wait_until(lambda: is_ready(site) == 0, 30)
        started = time.monotonic()
        assert node.stop(60) == 0
    assert time.monotonic() - started < 30  # far below the limit of a start
    assert "loop.failed" not in node.text()


def process_of(tmp_path: Path, *, shadow: str = "", order: str = "onnxruntime") -> ScorerProcess:
    config = Config(
        store=Store(root=tmp_path),
        scoring=Scoring(threads=1, shadow=shadow),
        engine=Engine(backends=(order,)),
        log=Log(level="error"),
    )
    (tmp_path / "run").mkdir()
    return ScorerProcess(config, 0)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("driver", "backend.failed", "driver does not answer"),
        ("computes_nothing", "backend.failed", "illegal memory access"),
        ("foreign", "backend.failed", "RuntimeError: libnothing.so.1: cannot open"),
        ("dies", "scorer.unready", "died at start"),
    ],
)
def test_every_fault_of_a_start_is_one_clear_line(
    tmp_path: Path, here: Faults, capfd: pytest.CaptureFixture[str], fault: str, code: str,
    words: str,
) -> None:  # fmt: skip
    here.make(f"{fault}-demo")
    process = process_of(tmp_path)
    with pytest.raises(ScorerUnreadyError, match=words) as caught:
        process.start()
    assert caught.value.hint
    (state,) = scorers.states(tmp_path)
    assert state.fault is not None
    assert (state.ready, state.fault.code, words in state.fault.message) == (False, code, True)
    assert "Traceback" not in capfd.readouterr().err
    here.mend(f"{fault}-demo")
    try:
        assert process.start()
        (state,) = scorers.states(tmp_path)
        assert state.ready
    finally:
        process.close()
    assert list(scorers.states(tmp_path)) == []


@pytest.mark.parametrize("fault", ["driver", "foreign", "dies", "computes_nothing"])
def test_a_shadow_that_cannot_be_had_is_told_and_stops_nobody(
    tmp_path: Path, here: Faults, fault: str
) -> None:
    score_bundle(tmp_path / "models" / "small-1.0")
    here.make(f"{fault}-small-1.0")
    process = process_of(tmp_path, shadow="small-1.0")
    try:
        assert process.start()
        assert process.alive
        assert not process.takes_shadows
        active, shadow = scorers.states(tmp_path)
        assert (active.role, active.ready, shadow.role, shadow.ready) == (
            "active", True, "shadow", False,
        )  # fmt: skip
    finally:
        process.close()


def test_a_shadow_s_engine_is_told_and_pinned_as_the_active_one_s(
    tmp_path: Path,
) -> None:
    score_bundle(tmp_path / "models" / "small-1.0")
    process = process_of(tmp_path, shadow="small-1.0", order="nothing")
    try:
        assert process.start()
        assert process.takes_shadows
        for state in scorers.states(tmp_path):
            assert state.engine is not None
            assert [p.candidate for p in state.engine.passed] == ["nothing:fp32"]
        process.kill()
        assert process.start()
        for state in scorers.states(tmp_path):
            assert state.engine is not None
            assert state.engine.passed == (), "pinned: nothing else was tried"
    finally:
        process.close()


def test_a_fault_stands_while_the_next_process_loads(tmp_path: Path, here: Faults) -> None:
    here.make("driver-demo")
    process = process_of(tmp_path)
    with pytest.raises(ScorerUnreadyError):
        process.start()
    here.mend("driver-demo")
    here.make("hangs")
    starting = threading.Thread(target=process.start)
    starting.start()
    wait_until(lambda: process.alive, 30)
    (state,) = scorers.states(tmp_path)
    assert state.fault is not None
    process.end()
    starting.join(30)
    assert not starting.is_alive()
    assert not process.alive
    process.close()
