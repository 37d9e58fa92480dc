"""Our types of the TensorRT API against the real bindings: signatures by mypy, names by import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ra_engine.backends.trt.api import ENUMS, ENUMS_RTX, members
from tests.support.trt import FakeTrt
from tests.support.trt_stubs import environment, fetched, write_stubs

BINDINGS = [("tensorrt_rtx_bindings", "tensorrt_rtx"), ("tensorrt_bindings", "tensorrt")]

CHECK = """\
import {package} as trt
from ra_engine.backends.trt import api

def builder(x: trt.Builder) -> api.Builder: return x
def config(x: trt.IBuilderConfig) -> api.BuilderConfig: return x
def context(x: trt.IExecutionContext) -> api.Context: return x
def engine(x: trt.ICudaEngine) -> api.Engine: return x
def memory(x: trt.IHostMemory) -> api.HostMemory: return x
def network(x: trt.INetworkDefinition) -> api.Network: return x
def parser(x: trt.OnnxParser) -> api.Parser: return x
def complaint(x: trt.ParserError) -> api.ParserError: return x
def profile(x: trt.IOptimizationProfile) -> api.Profile: return x
def runtime(x: trt.Runtime) -> api.Runtime: return x
def tensor(x: trt.ITensor) -> api.Tensor: return x
def times(x: trt.ITimingCache) -> api.TimingCache: return x
def module() -> api.TensorRt: return trt
"""
RTX = """\
def rtx(x: trt.Runtime) -> api.OfRtx: return x
def engine_of_rtx(x: trt.ICudaEngine) -> api.EngineOfRtx: return x
"""

NAMES = """
import importlib, json, sys
from ra_engine.backends.trt.api import ENUMS, ENUMS_RTX, members
module = importlib.import_module(sys.argv[1])
found = module.__version__
print(json.dumps([found, list(members(module, ENUMS)), list(members(module, ENUMS_RTX))]))
"""


def complaints(text: str, folder: Path, env: dict[str, str]) -> list[str]:
    """What mypy says about a file that imports the stubs in ``folder``."""
    check = folder / "check.py"
    check.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={folder / 'cache'}", str(check)],
        capture_output=True, text=True, env={**env, "MYPYPATH": str(folder)}, check=False,
    )  # fmt: skip
    assert "prevented further checking" not in done.stdout, done.stdout
    assert "checked 1 source file" in done.stdout or "no issues found" in done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(str(check))]


def accepted(package: str, module: str, folder: Path, env: dict[str, str]) -> None:
    """Mypy takes the bindings for our Protocols, and would see one that is not."""
    write_stubs(package, module, folder, env)
    text = CHECK.format(package=package) + (RTX if "rtx" in package else "")
    assert complaints(text, folder, env) == []
    wrong = text.replace("ITimingCache) -> api.TimingCache", "ITimingCache) -> api.Context")
    assert len([c for c in complaints(wrong, folder, env) if "error:" in c]) == 1


def absent(package: str, env: dict[str, str]) -> tuple[str, list[str], list[str]]:
    """Version of the bindings, and names of ours that they lack: of all, of TensorRT-RTX."""
    done = subprocess.run(
        [sys.executable, "-c", NAMES, package], capture_output=True, text=True, env=env, check=True
    )
    version, both, rtx = json.loads(done.stdout.splitlines()[-1])
    return version, both, rtx


@pytest.mark.parametrize(("package", "module"), BINDINGS)
def test_mypy_accepts_the_real_bindings_as_our_api(
    package: str, module: str, tmp_path: Path
) -> None:
    accepted(package, module, tmp_path, environment(tmp_path, package))


@pytest.mark.parametrize(("package", "module"), BINDINGS)
def test_every_enumeration_member_that_we_name_exists(
    package: str, module: str, tmp_path: Path
) -> None:
    _version, both, rtx = absent(package, environment(tmp_path, package))
    assert both == []
    if "rtx" in package:
        assert rtx == []


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["10.3.0", "10.*"])
def test_tensorrt_10_speaks_the_same_api(version: str, tmp_path: Path) -> None:
    """The oldest that the documentation names, and the newest that the index has."""
    env = fetched(tmp_path, version)
    found, both, _rtx = absent("tensorrt_bindings", env)
    assert found.startswith(version.removesuffix("*"))
    assert both == []
    accepted("tensorrt_bindings", "tensorrt", tmp_path, env)


def test_the_double_has_them_too() -> None:
    kept = {k: v for k, v in ENUMS_RTX.items() if k != "ComputeCapability"}
    assert list(members(FakeTrt(), {**ENUMS, **kept})) == []


def test_an_absent_member_is_named() -> None:
    assert list(members(FakeTrt(), {"BuilderFlag": ("TF32", "INT8")})) == ["BuilderFlag.INT8"]
