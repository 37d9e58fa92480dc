"""ONNX Runtime on the CPU: same bits in any company, clear refusals."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend, OnnxSession
from ra_engine.errors import BackendError
from ra_engine.spec import EngineSpec
from tests.support.bundles import GRAPHS


@pytest.fixture(scope="module")
def session() -> OnnxSession:
    return OnnxRuntimeBackend().load(GRAPHS / "score.onnx", EngineSpec(threads=2))


def test_the_key_names_runtime_version_and_device(session: OnnxSession) -> None:
    version = importlib.import_module("onnxruntime").__version__
    assert session.key == f"onnxruntime-{version}-cpu"
    assert session.precision == "fp32"


def test_the_runtime_keeps_no_record_of_its_use(tmp_path: Path) -> None:
    """Its telemetry begins with an identifier in the home folder and a socket of its own."""
    code = (
        "from pathlib import Path\n"
        "from ra_engine.backends.onnxruntime import OnnxRuntimeBackend\n"
        "from ra_engine.spec import EngineSpec\n"
        f"OnnxRuntimeBackend().load(Path({str(GRAPHS / 'score.onnx')!r}), EngineSpec(threads=1))\n"
    )
    away = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    env = {k: v for k, v in os.environ.items() if k not in away}
    env |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_outputs_come_by_name_with_the_batch_first(session: OnnxSession) -> None:
    out = session.run(np.full((5, 1, 128, 96), 0.5, np.float32))
    assert {k: v.shape for k, v in out.items()} == {
        "members": (5, 3), "score": (5,), "class_logits": (5, 2), "cam": (5, 4, 3),
    }  # fmt: skip
    assert out["score"] == pytest.approx([30] * 5)


def test_a_row_is_the_same_to_the_bit_in_any_batch(session: OnnxSession) -> None:
    images = np.random.default_rng(0).random((7, 1, 128, 96), np.float32)
    together = session.run(images)
    for i in range(7):
        alone = session.run(images[i : i + 1])
        assert all(alone[k].tobytes() == v[i : i + 1].tobytes() for k, v in together.items())


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (2, 3, 128, 96)])
def test_an_array_that_does_not_fit_is_a_backend_error(
    session: OnnxSession, shape: tuple[int, ...]
) -> None:
    with pytest.raises(BackendError, match="failed on a graph"):
        session.run(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(128, 96), (0, 1, 128, 96)])
def test_no_batch_is_a_backend_error(session: OnnxSession, shape: tuple[int, ...]) -> None:
    with pytest.raises(BackendError, match="takes"):
        session.run(np.zeros(shape, np.float32))


def test_a_file_that_is_no_graph_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match=r"refuses graph\.onnx") as caught:
        OnnxRuntimeBackend().load(tmp_path / "graph.onnx", EngineSpec(threads=1))
    assert "models verify" in caught.value.hint


def test_a_missing_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> ModuleType:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(BackendError, match="cannot be imported") as caught:
        OnnxRuntimeBackend().load(GRAPHS / "score.onnx", EngineSpec(threads=1))
    assert "pip install" in caught.value.hint


class RowCounter:
    """Stands for the runtime's session: tells the batch sizes it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="x")]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="score")]

    def run(
        self, _names: list[str], feed: dict[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        self.sizes.append(len(feed["x"]))
        return [feed["x"].sum((1, 2, 3))]


def test_the_runtime_never_sees_two_rows_together() -> None:
    """Its kernels may sum in another order for another batch size."""
    inner = RowCounter()
    out = OnnxSession(inner, "key").run(np.ones((3, 1, 2, 2), np.float32))
    assert inner.sizes == [1, 1, 1]
    assert out["score"].tolist() == [4, 4, 4]
