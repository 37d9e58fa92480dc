"""AOTInductor: the GPU that a package is loaded on, and what is said of its standing.

torch and its loader are stand-ins here, since no machine of ours shows two GPUs; what runs on a CPU
is in ``tests/integration/engine/test_torch_backends.py``.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from ra_engine.backends import aoti, torch
from ra_engine.backends.aoti import AotiBackend
from ra_engine.errors import DriverError
from ra_engine.spec import EngineSpec
from tests.support.bundles import GRAPHS

pytest.importorskip("onnx", reason="install ra-daemon[build]")


class TwoGpus:
    """torch as far as loading asks it."""

    __version__ = "2.8.double"
    cuda = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2)

    @staticmethod
    def device(kind: str, index: int | None = None) -> Any:
        return SimpleNamespace(type=kind, index=index)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the loader is asked for, call by call."""
    asked: list[dict[str, object]] = []
    loader = SimpleNamespace(aoti_load_package=lambda path, **options: asked.append(options))
    real = importlib.import_module

    def imported(name: str) -> Any:
        return loader if name == "torch._inductor" else real(name)

    monkeypatch.setattr(importlib, "import_module", imported)
    for module in (aoti, torch):
        monkeypatch.setattr(module, "torch_module", TwoGpus)
    return asked


@pytest.mark.parametrize("index", [0, 1])
def test_a_package_is_loaded_on_the_gpu_that_is_asked_for(
    loads: list[dict[str, object]], index: int
) -> None:
    spec = EngineSpec(device=f"cuda:{index}")
    session = AotiBackend().open(GRAPHS / "score.onnx", b"package", spec, key="k")
    assert loads == [{"device_index": index}]
    assert session.device == f"cuda:{index}"


def test_on_a_cpu_no_gpu_is_named(loads: list[dict[str, object]]) -> None:
    AotiBackend().open(GRAPHS / "score.onnx", b"package", EngineSpec(), key="k")
    assert loads == [{}]


def test_a_third_gpu_of_two_is_told(loads: list[dict[str, object]]) -> None:
    spec = EngineSpec(device="cuda:2")
    with pytest.raises(DriverError, match="cuda:2 is not among them"):
        AotiBackend().open(GRAPHS / "score.onnx", b"package", spec, key="k")
    assert loads == []


def test_it_says_that_none_of_us_has_run_it_on_a_gpu() -> None:
    assert AotiBackend.standing == "never run on a GPU by us"
