"""The backend class: what enters the key, the timing cache, the device, what happens on failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ra_engine.backends.trt.backend import STANDING, TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT, TENSORRT_RTX
from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, EngineFileError
from ra_engine.spec import EngineSpec
from tests.support.bundles import GRAPHS
from tests.support.trt import FakeCuda, FakeTrt

GRAPH = GRAPHS / "score.onnx"
SPEC = EngineSpec(device="cuda:0")


def backend(double: FakeTrt | None = None, *, rtx: bool = False) -> TrtBackend:
    double = double or FakeTrt()
    return TrtBackend(TENSORRT_RTX if rtx else TENSORRT, api=double, cuda=double.cuda)


def test_facts_hold_everything_that_a_plan_depends_on() -> None:
    facts = backend().facts(SPEC)
    assert facts["version"] == "0.0.double"
    assert (facts["sm"], facts["gpu"], facts["driver"]) == (90, "Double 1", "13")
    assert facts["build"] == {
        "profiles": [[1, 1, 2], [1, 16, 32]], "tf32": False, "level": 3, "workspace": None,
        "targets": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        EngineSpec(device="cuda:0", precision="bf16"),
        EngineSpec(device="cuda:0", device_memory=2**30),
    ],
)
def test_another_choice_is_another_key(other: EngineSpec) -> None:
    assert backend().facts(other) != backend().facts(SPEC)


def test_the_two_flavours_never_share_a_key() -> None:
    assert backend().facts(SPEC) != backend(rtx=True).facts(SPEC)


def test_a_session_names_version_device_precision_and_key() -> None:
    made = backend()
    plan = made.build(GRAPH, SPEC)
    session = made.open(GRAPH, plan, SPEC, key="tensorrt-0.0.double-abc")
    assert (session.key, session.device) == ("tensorrt-0.0.double-abc", "cuda:0")
    assert made.load(GRAPH, SPEC).key.startswith("tensorrt-0.0.double-cuda:0-fp32-")
    assert session.standing == made.standing == STANDING
    assert session.memory > len(plan)


def test_every_bucket_is_warm_before_the_first_study() -> None:
    double = FakeTrt()
    made = backend(double)
    made.open(GRAPH, made.build(GRAPH, SPEC), SPEC, key="k")
    assert double.batches == [1, 2, 4, 8, 16, 32]
    assert double.cuda.calls.count("begin_capture") == 6


def test_the_largest_batch_of_the_configuration_is_kept() -> None:
    double = FakeTrt()
    made, spec = backend(double), EngineSpec(device="cuda:0", buckets=(1, 2, 4))
    made.open(GRAPH, made.build(GRAPH, spec), spec, key="k")
    assert double.batches == [1, 2, 4]


@pytest.mark.parametrize(
    ("buckets", "profiles"),
    [
        ((1,), [[1, 1, 2]]),
        ((1, 2), [[1, 1, 2]]),
        ((1, 8), [[1, 1, 2], [1, 8, 8]]),
        ((1, 64), [[1, 1, 2], [1, 16, 64]]),
    ],
)
def test_profiles_follow_the_largest_batch(
    buckets: tuple[int, ...], profiles: list[list[int]]
) -> None:
    double = FakeTrt()
    made, spec = backend(double), EngineSpec(device="cuda:0", buckets=buckets)
    facts: Any = made.facts(spec)["build"]
    assert facts["profiles"] == profiles
    made.open(GRAPH, made.build(GRAPH, spec), spec, key="k")
    assert double.batches == list(buckets)


def test_a_timing_cache_is_kept_by_version_and_device(tmp_path: Path) -> None:
    spec = EngineSpec(device="cuda:0", cache=tmp_path)
    backend().build(GRAPH, spec)
    cache = tmp_path / "timing-0.0.double-sm90.cache"
    assert cache.read_bytes() == b"times"
    assert list(tmp_path.iterdir()) == [cache]
    double = FakeTrt()
    backend(double).build(GRAPH, spec)
    assert ("create_timing_cache", (b"times",)) in double.calls


def test_rtx_keeps_none(tmp_path: Path) -> None:
    """Touching it would ask for a GPU at build time."""
    double = FakeTrt()
    backend(double, rtx=True).build(GRAPH, EngineSpec(device="cuda:0", cache=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert not [name for name, _ in double.calls if "timing" in name]


def test_a_device_that_is_no_gpu_is_refused() -> None:
    with pytest.raises(BackendError, match="needs a GPU") as caught:
        backend().build(GRAPH, EngineSpec(device="cpu"))
    assert "cuda:0" in caught.value.hint


def test_several_gpus_are_several_sessions() -> None:
    double = FakeTrt(FakeCuda(gpus=2))
    made = backend(double)
    for index in (0, 1):
        spec = EngineSpec(device=f"cuda:{index}")
        session = made.open(GRAPH, made.build(GRAPH, spec), spec, key="k")
        assert session.gpu.index == index


@pytest.mark.parametrize(
    ("double", "error"),
    [
        (FakeTrt(load="out of memory"), DeviceMemoryError),
        (FakeTrt(load="version mismatch"), EngineFileError),
        (FakeTrt(FakeCuda(fail={"gpu": "cudaErrorInsufficientDriver"})), DriverError),
        (FakeTrt(FakeCuda(fail={"pinned": "cudaErrorMemoryAllocation"})), DeviceMemoryError),
        (FakeTrt(execute=0), BackendError),
    ],
)
def test_a_failed_load_says_why(double: FakeTrt, error: type[BackendError]) -> None:
    working = FakeTrt()
    plan = backend(working).build(GRAPH, SPEC)
    with pytest.raises(error) as caught:
        backend(double).open(GRAPH, plan, SPEC, key="k")
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_failed_load_gives_its_memory_back() -> None:
    double = FakeTrt(execute=0)
    plan = backend(FakeTrt()).build(GRAPH, SPEC)
    with pytest.raises(BackendError):
        backend(double).open(GRAPH, plan, SPEC, key="k")
    assert double.cuda.calls[-1] == "release"


def test_closing_frees_the_device() -> None:
    double = FakeTrt()
    made = backend(double)
    session = made.open(GRAPH, made.build(GRAPH, SPEC), SPEC, key="k")
    session.close()
    assert double.cuda.memory == {}


def test_nothing_is_imported_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from ra_engine.backends import tensorrt, tensorrt_rtx

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert tensorrt.backend().name == "tensorrt"
    assert tensorrt_rtx.backend().name == "tensorrt-rtx"
