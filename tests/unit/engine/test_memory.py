"""Too little memory is told as that, in a process that has too little."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ra_engine.memory import exhausted, host_memory_error
from ra_plugins.bundles import demo
from tests.support.bundles import GRAPHS

CHILD = """
import resource, sys
from pathlib import Path
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.errors import BackendError
from ra_engine.spec import EngineSpec

small, large, kind, field, room, threads = sys.argv[1:]
backend, spec = OnnxRuntimeBackend(), EngineSpec(threads=int(threads))
backend.load(Path(small), EngineSpec())
status = Path("/proc/self/status").read_text()
held = int(next(line.split()[1] for line in status.splitlines() if line.startswith(field)))
limit = 1024 * held + int(room) * 2**20
resource.setrlimit(getattr(resource, kind), (limit, limit))
try:
    backend.load(Path(large), spec)
except BackendError as error:
    print(error.code, error, error.hint, sep="|")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize(("kind", "field"), [("RLIMIT_DATA", "VmData"), ("RLIMIT_AS", "VmSize")])
@pytest.mark.parametrize(
    ("room_mib", "threads"),
    [(8, 1), (2, 4)],
    ids=["the graph does not fit", "its threads do not fit"],
)
def test_a_graph_that_does_not_fit_says_so(
    kind: str, field: str, room_mib: int, threads: int
) -> None:
    small = str(GRAPHS / "score.onnx")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, small, str(demo() / "graph.onnx"), kind, field,
         str(room_mib), str(threads)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    code, message, hint = done.stdout.strip().split("|")
    assert code == "backend.memory"
    assert "too little memory to load graph.onnx" in message
    assert "memory_limit_mb" in hint
    assert "models verify" not in hint


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("bfc_arena: Failed to allocate memory for requested buffer of size 1024"),
        RuntimeError("pthread_create failed, error code: 12 err msg: Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_how_runtimes_say_it(error: Exception) -> None:
    assert exhausted(error)


@pytest.mark.parametrize("said", ["", "Protobuf parsing failed", "INVALID_ARGUMENT: dimensions"])
def test_other_faults_are_not_taken_for_it(said: str) -> None:
    assert not exhausted(RuntimeError(said))


def test_it_may_pass_and_is_tried_again() -> None:
    assert host_memory_error("onnxruntime", "run a graph").retriable
