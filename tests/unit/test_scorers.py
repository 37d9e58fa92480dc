"""What is written of scorers, who clears it, and what metrics, doctor and status make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from ra_daemon import scorers, settings
from ra_daemon.cli import main
from ra_daemon.commands import checks
from ra_daemon.config import Config
from ra_daemon.engines import EngineState
from ra_daemon.scorers import Fault, ScorerState
from ra_daemon.store.engine import open_engine
from ra_daemon.store.schema import upgrade
from ra_daemon.web.metrics import render
from ra_engine.choose import Passed

HERE = os.uname().nodename
ENGINE = EngineState(
    engine="onnxruntime-1-cpu", precision="fp32", device="cpu", candidate="onnxruntime:fp32",
    gate="", passed=(Passed(candidate="tensorrt:bf16", code="c", message="m", hint="h"),),
)  # fmt: skip
FAULT = Fault(code="backend.driver", message="The driver does not answer.", hint="Run nvidia-smi.")
READY = ScorerState(node=HERE, index=0, engine=ENGINE, order=("onnxruntime:fp32",))
BROKEN = ScorerState(node=HERE, index=1, fault=FAULT, order=("onnxruntime:fp32",))
STARTING = ScorerState(node=HERE, index=2, order=("onnxruntime:fp32",))


def aged(root: Path, state: ScorerState, seconds: float) -> None:
    scorers.write(root, state)
    then = time.time() - seconds
    for path in (root / "run").glob(f"engine-{state.node}-{state.index}-{state.role}.json"):
        os.utime(path, (then, then))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "ra-daemon.toml"
    path.write_text("")
    config = settings.load(path, environ={})
    config.root.mkdir()
    engine = open_engine(config.database_url)
    upgrade(engine)
    engine.dispose()
    return config


@pytest.fixture
def running(config: Config) -> Iterator[None]:
    """A process that looks like the node of ``config``."""
    words = [sys.executable, "-c", "import time; time.sleep(600)", "ra-daemon"]
    with subprocess.Popen(words) as process:
        (config.root / "run").mkdir(exist_ok=True)
        (config.root / "run" / "ra-daemon.pid").write_text(str(process.pid))
        yield
        process.kill()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    shadow = replace(READY, role="shadow")
    for state in (READY, shadow, BROKEN, STARTING):
        scorers.write(tmp_path, state)
    assert list(scorers.states(tmp_path)) == [READY, shadow, BROKEN, STARTING]
    assert [s.ready for s in (READY, shadow, BROKEN, STARTING)] == [True, True, False, False]
    scorers.write(tmp_path, replace(READY, engine=None, fault=FAULT))
    assert not next(scorers.states(tmp_path)).ready, "a fault takes the place of what was there"
    scorers.remove(tmp_path, READY)
    assert READY.index not in [s.index for s in scorers.states(tmp_path) if s.role == "active"]


def test_half_a_file_or_one_of_before_is_nothing(tmp_path: Path) -> None:
    scorers.write(tmp_path, READY)
    (tmp_path / "run" / "engine-0.json").write_text('{"engine": "onnxruntime-1-cpu"}')
    (tmp_path / "run" / "engine-x-1-active.json").write_text('{"node": "x"')
    assert list(scorers.states(tmp_path)) == [READY]


def test_a_silent_scorer_is_not_ready_and_then_forgotten(tmp_path: Path) -> None:
    aged(tmp_path, READY, 300)
    (state,) = scorers.states(tmp_path)
    assert not state.ready
    assert state.fault is not None
    assert state.fault.code == "scorer.silent"
    scorers.touch(tmp_path, READY)
    assert list(scorers.states(tmp_path)) == [READY]
    aged(tmp_path, READY, 7200)
    assert list(scorers.states(tmp_path)) == []


def test_a_start_clears_what_was_left_and_leaves_living_neighbours(tmp_path: Path) -> None:
    neighbour, gone = replace(READY, node="there"), replace(READY, node="gone")
    for state in (READY, BROKEN, neighbour):
        scorers.write(tmp_path, state)
    aged(tmp_path, gone, 7200)
    scorers.clear(tmp_path, shared=True)
    left = sorted((tmp_path / "run").glob("engine-*"))
    assert [p.name for p in left] == ["engine-there-0-active.json"]
    scorers.clear(tmp_path, shared=False)
    assert list((tmp_path / "run").glob("engine-*")) == []


def test_metrics_tell_who_is_ready(config: Config) -> None:
    for state in (READY, BROKEN, STARTING, replace(BROKEN, index=0, role="shadow")):
        scorers.write(config.root, state)
    engine = open_engine(config.database_url)
    families = {f.name: f for f in text_string_to_metric_families(render(config, engine).decode())}
    engine.dispose()
    ready = {
        (s.labels["scorer"], s.labels["role"]): s.value for s in families["ra_scorer_ready"].samples
    }
    assert ready == {
        ("0", "active"): 1, ("0", "shadow"): 0, ("1", "active"): 0, ("2", "active"): 0,
    }  # fmt: skip
    (info,) = families["ra_engine_info"].samples
    assert info.labels == {
        "node": HERE, "scorer": "0", "role": "active", "engine": "onnxruntime-1-cpu",
        "precision": "fp32", "device": "cpu",
    }  # fmt: skip


def test_doctor_of_a_running_node_reads_and_loads_nothing(config: Config, running: None) -> None:
    for state in (READY, BROKEN, STARTING):
        scorers.write(config.root, state)
    nowhere = config.scoring.model_copy(update={"bundle": "nowhere"})  # a load would raise
    config = config.model_copy(update={"scoring": nowhere})
    found = {c.name: c for c in checks.engine(config) if c.name != "gpu"}
    assert {name: c.ok for name, c in found.items()} == {
        "engine tensorrt:bf16": False, "scorer 0": True, "scorer 1": False, "scorer 2": True,
    }  # fmt: skip
    assert (found["scorer 1"].found, found["scorer 1"].remedy) == (FAULT.message, FAULT.hint)


def test_doctor_tells_an_order_that_was_changed_since_the_start(
    config: Config, running: None
) -> None:
    scorers.write(config.root, READY)
    other = config.engine.model_copy(update={"backends": ("openvino:bf16", "onnxruntime")})
    config = config.model_copy(update={"engine": other})
    (check,) = [c for c in checks.engine(config) if c.name == "scorer 0 order"]
    assert not check.ok
    assert "openvino:bf16, onnxruntime:fp32: restart the node" in check.remedy


def test_status_names_every_scorer(config: Config, tmp_path: Path) -> None:
    for state in (READY, BROKEN):
        scorers.write(config.root, state)
    words = ["status", "--config", str(tmp_path / "ra-daemon.toml")]
    told = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert [(s["name"], s["ready"]) for s in told["scorers"]] == [
        ("scorer 0", True), ("scorer 1", False),
    ]  # fmt: skip
    done = CliRunner().invoke(main, words)
    assert "scorer 1: The driver does not answer." in done.stdout
    assert "Run nvidia-smi." in done.stderr


def test_scorers_of_a_node_that_was_killed_are_not_ready(config: Config, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as node:
        for state in (replace(READY, pid=node.pid), replace(READY, node="there", pid=node.pid)):
            scorers.write(config.root, state)
        assert [s.ready for s in scorers.states(config.root)] == [True, True]
        node.kill()
    words = ["status", "--config", str(tmp_path / "ra-daemon.toml"), "--json"]
    told = json.loads(CliRunner().invoke(main, words).stdout)
    assert told["running"] is False
    assert {s["node"]: s["ready"] for s in told["scorers"]} == {HERE: False, "there": True}
    assert {s["node"]: s["found"] for s in told["scorers"]}[HERE] == "its node does not run"


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as later:
        aged(tmp_path, replace(READY, pid=later.pid), 100)
        (state,) = scorers.states(tmp_path)
        assert not state.ready
        later.kill()
