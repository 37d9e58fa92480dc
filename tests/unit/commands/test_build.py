"""ra-daemon models build, and what doctor and metrics say of engines."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ra_daemon import engines, scorers, settings
from ra_daemon.cli import main
from ra_daemon.commands import build as building
from ra_daemon.commands import checks, samples
from ra_daemon.engines import EngineState
from ra_daemon.scorers import ScorerState
from ra_daemon.store.engine import open_engine
from ra_daemon.web.metrics import render
from ra_engine import build, registry
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.choose import Passed
from ra_engine.errors import EngineFileError
from ra_engine.gate import TOLERANCES, Tolerance
from ra_engine.quantise import Quantiser
from ra_engine.samples import Draw, Samples, load_samples
from ra_engine.spec import EngineSpec
from tests.support.bundles import score_bundle
from tests.support.engines import FakeCompiler
from tests.support.engines import samples as few_of_the_small_graph


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer images than are shipped, so that the test is short; the seeds differ from theirs."""
    monkeypatch.setattr(samples, "GATE", Draw(seed=5, n=6, size=320))
    monkeypatch.setattr(samples, "CALIBRATION", Draw(seed=6, n=12, size=320))
    monkeypatch.setattr(build, "Quantiser", functools.partial(Quantiser, least=12))
    wide = Tolerance(worst=5.0, mean=3.0, logit=3.0, cam=0.9, place=1.0)  # what so few can keep
    monkeypatch.setitem(TOLERANCES, "int8", wide)


def ordered(node: Path, *backends: str) -> Path:
    with node.open("a") as stream:
        stream.write(f"[engine]\nbackends = {json.dumps(backends)}\n")
    return node


def built(node: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = run("models", "build", "--config", str(node), "--json", *options)
    assert done.stdout, done.output
    assert done.stderr == "", "with --json nobody watches"
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def draws(few: None, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry a draw of images: whether it held those to calibrate on."""
    asked: list[bool] = []
    real = samples.draw_samples

    def drawn(*arguments: Any, calibrate: bool, **options: Any) -> Samples:
        asked.append(calibrate)
        return real(*arguments, calibrate=calibrate, **options)

    monkeypatch.setattr(samples, "draw_samples", drawn)
    return asked


def test_int8_is_built_gated_kept_and_then_used(node: Path, draws: list[bool]) -> None:
    pytest.importorskip("onnx", reason="install ra-daemon[build]")
    ordered(node, "onnxruntime:int8")
    code, (row, reference) = built(node)
    assert (code, row["state"], reference["state"]) == (0, "built", "reference")
    assert row["figures"]["passed"] is True
    assert row["figures"]["images"] == 6
    config = settings.load(node, environ={})
    (found,) = checks.engine(config)
    assert found.ok
    assert row["engine"] in found.found
    assert "mean" in found.found, "the gate's figures"
    assert built(node)[1][0]["state"] == "cached"
    assert draws == [True], "nothing is generated where all is in the cache"
    (config.root / "engines" / f"{row['key']}.onnx").write_bytes(b"harmed")
    again = run("models", "build", "--config", str(node))
    assert (again.exit_code, draws) == (0, [True, True])
    assert again.stderr.splitlines()[:5] == [
        "gate images", "calibration images", "building onnxruntime:int8", "calibration",
        "FP32 ends",
    ], "each stage is told when it begins"  # fmt: skip
    assert "built" in again.stdout


def test_int8_of_a_backend_that_is_not_there_draws_nothing(node: Path, draws: list[bool]) -> None:
    ordered(node, "onnxruntime")
    assert built(node)[0] == 0
    assert draws == [False]
    code, _rows = built(node, "--backend", "nothing", "--precision", "int8")
    assert (code, draws) == (1, [False])


def _cut(content: bytes) -> bytes:
    return content[:-100]


def _flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _junk(content: bytes) -> bytes:
    return b"junk" * (len(content) // 4)


@pytest.mark.parametrize("harm", [_cut, _flipped, _junk])
def test_images_that_were_harmed_are_made_again(
    node: Path, draws: list[bool], harm: Callable[[bytes], bytes]
) -> None:
    assert built(node)[0] == 0
    (path,) = (settings.load(node, environ={}).root / "engines").glob("samples-*.npz")
    whole = load_samples(path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(EngineFileError, match="damaged"):
        load_samples(path)
    assert built(node)[0] == 0
    assert draws == [False, False]
    assert (load_samples(path).gate == whole.gate).all()


@dataclass
class Odd(FakeCompiler):
    """A plugin that raises what is none of our errors."""

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        raise AttributeError("no attribute 'Builder'")


@pytest.fixture
def small(node: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with the bundle ``small`` and backends of the tests."""
    score_bundle(settings.load(node, environ={}).root / "models" / "small")
    known = {
        "onnxruntime": OnnxRuntimeBackend(), "fake": FakeCompiler(), "odd": Odd(name="odd"),
    }  # fmt: skip

    def load(names: Sequence[str] = ()) -> tuple[dict[str, Any], list[Any]]:
        return {k: v for k, v in known.items() if not names or k in names}, []

    monkeypatch.setattr(registry, "load_backends", load)
    monkeypatch.setattr(building, "_samples", lambda *_, **__: few_of_the_small_graph())
    return node


def test_a_gpu_engine_is_built_for_every_gpu(small: Path) -> None:
    with small.open("a") as stream:
        stream.write('[engine]\nbackends = ["fake:fp16"]\ndevices = ["cuda:1", "cuda:3"]\n')
    code, rows = built(small, "small")
    assert code == 0
    assert [(r["state"], r["device"]) for r in rows] == [
        ("built", "cuda:1"), ("built", "cuda:3"), ("reference", "cpu"),
    ]  # fmt: skip
    code, rows = built(small, "small", "--device", "cuda:3")
    assert [(r["state"], r["device"]) for r in rows] == [("cached", "cuda:3"), ("reference", "cpu")]


def test_what_a_plugin_raises_is_its_row_and_the_others_are_built(small: Path) -> None:
    ordered(small, "odd:fp16", "fake:fp16")
    code, (odd, fake, reference) = built(small, "small")
    assert code == 1
    assert "AttributeError: no attribute 'Builder'" in odd["state"]
    assert "models build --backend odd" in odd["hint"]
    assert (fake["state"], reference["state"]) == ("built", "reference")


def test_doctor_names_what_is_passed_over_and_the_command(node: Path) -> None:
    ordered(node, "onnxruntime:int8", "nothing:fp16")
    first, second, engine = checks.engine(settings.load(node, environ={}))
    assert (first.ok, second.ok, engine.ok) == (False, False, True)
    assert first.name == "engine onnxruntime:int8"
    assert "models build" in first.remedy
    assert "There is no backend nothing" in second.found
    assert engine.found.startswith("onnxruntime-")


def test_a_backend_that_cannot_be_had_is_a_row_with_its_remedy(node: Path, few: None) -> None:
    code, (row,) = built(node, "--backend", "nothing", "--precision", "fp16")
    assert code == 1
    assert "no such entry point" in row["state"]
    assert "onnxruntime" in row["hint"]


def test_precision_needs_a_backend(node: Path) -> None:
    done = run("models", "build", "--config", str(node), "--precision", "int8")
    assert done.exit_code == 2
    assert "--precision needs --backend" in done.output


def test_a_gpu_that_is_not_used_is_a_fault_until_it_is_meant(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ra_engine.choose.gpu_count", lambda: 1)
    gpu, engine = checks.engine(settings.load(node, environ={}))
    assert (gpu.name, gpu.ok) == ("engine gpu", False)
    assert "allow_cpu" in gpu.remedy
    assert engine.ok
    meant = settings.load(node, environ={"RA_DAEMON_ENGINE__ALLOW_CPU": "true"})
    assert [c.ok for c in checks.engine(meant)] == [True]


def test_doctor_says_what_was_never_run_also_of_an_engine_that_was_passed_over(
    node: Path,
) -> None:
    order = '["tensorrt:fp16", "onnxruntime"]'
    wanted = settings.load(node, environ={
        "RA_DAEMON_ENGINE__BACKENDS": order, "RA_DAEMON_ENGINE__ALLOW_CPU": "true"})  # fmt: skip
    passed = next(c for c in checks.engine(wanted) if c.name == "engine tensorrt:fp16")
    assert not passed.ok
    assert "never run by us" in passed.found


def test_metrics_tell_the_engines_and_what_was_passed_over(node: Path) -> None:
    config = settings.load(node, environ={})
    passed = Passed(candidate="tensorrt:bf16", code="backend.driver", message="m", hint="h")
    state = EngineState(
        engine="onnxruntime-1-cpu", precision="fp32", device="cpu", candidate="onnxruntime:fp32",
        gate="", passed=(passed,),
    )  # fmt: skip
    scorers.write(config.root, ScorerState(node="here", index=0, engine=state))
    rows = open_engine(config.database_url)
    text = render(config, rows).decode()
    rows.dispose()
    assert (
        'ra_engine_passed_over{code="backend.driver",node="here",role="active",scorer="0",'
        'wanted="tensorrt:bf16"} 1' in text
    )
    assert 'engine="onnxruntime-1-cpu"' in text


def test_a_replaced_process_gets_the_same_engine_or_none(node: Path) -> None:
    ordered(node, "onnxruntime:int8")
    config = settings.load(node, environ={})
    from ra_daemon import plugins
    from ra_engine.bundle import load_bundle
    from ra_engine.errors import BackendError

    bundle = load_bundle(plugins.bundle_path("demo"))
    assert engines.chosen(config, bundle, pinned="onnxruntime:fp32").passed == ()
    with pytest.raises(BackendError, match="onnxruntime:int8"):
        engines.chosen(config, bundle, pinned="onnxruntime:int8")


def test_an_unknown_precision_is_refused_by_the_configuration(node: Path) -> None:
    from ra_daemon.errors import ConfigError

    with pytest.raises(ConfigError, match="fp32, fp16, bf16 or int8"):
        settings.load(ordered(node, "onnxruntime:fp8"), environ={})
