"""The runner against a double: copies, padding, profiles, capture, replay, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.trt.deserialise import Loaded
from ra_engine.backends.trt.runner import Limits, Runner
from ra_engine.errors import BackendError, DeviceMemoryError, EngineFileError
from ra_engine.spec import BUCKETS, EngineSpec
from tests.support.bundles import GRAPHS
from tests.support.trt import MARK, FakeCuda, FakeTrt

PLAN = MARK + (GRAPHS / "score.onnx").read_bytes()


def runner(library: FakeTrt, *, rtx: bool = False, limits: Limits | None = None) -> Runner:
    engine = Loaded(library, PLAN, rtx=rtx).engine
    return Runner(library, library.cuda, engine, plan=len(PLAN), rtx=rtx, limits=limits or Limits())


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).random((count, 1, 128, 96), np.float32)


@pytest.mark.parametrize("rtx", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 31, 32, 33, 70])
def test_any_batch_gives_what_the_reference_gives(count: int, rtx: bool) -> None:
    made = runner(FakeTrt(), rtx=rtx)
    reference = (
        OnnxRuntimeBackend().load(GRAPHS / "score.onnx", EngineSpec(threads=1)).run(images(count))
    )
    for _ in range(3):  # first plain, then captured, then replayed
        found = made.run(images(count))
        assert found.keys() == reference.keys()
        for name, value in reference.items():
            assert found[name].shape == value.shape
            assert np.allclose(found[name], value, atol=1e-5)


@pytest.mark.parametrize(("count", "bucket"), [(1, 1), (2, 2), (3, 4), (9, 16), (32, 32)])
def test_a_batch_is_padded_to_the_next_bucket(count: int, bucket: int) -> None:
    library = FakeTrt()
    runner(library).run(images(count))
    assert library.batches == [bucket]


def test_padding_is_zeros_whatever_ran_before() -> None:
    library = FakeTrt()
    made = runner(library)
    made.run(np.full((4, 1, 128, 96), 9, np.float32))
    made.run(images(3))
    staged = made._in.host
    assert (staged[:3] == images(3)).all()
    assert (staged[3] == 0).all()


def test_latency_buckets_use_profile_0_and_larger_ones_profile_1() -> None:
    library = FakeTrt()
    made = runner(library)
    made.warm_up()
    contexts = library.engines[0].contexts
    assert [c.profile for c in contexts] == [0, 0, 1, 1, 1, 1]
    assert [c.shape[0] for c in contexts if c.shape] == list(BUCKETS)
    assert library.batches == list(BUCKETS)


def test_each_bucket_has_its_own_context_and_all_share_one_scratch() -> None:
    """A captured graph belongs to its context; one stream runs them in turn."""
    library = FakeTrt()
    runner(library)
    contexts = library.engines[0].contexts
    assert len(contexts) == len(BUCKETS)
    assert len({c.scratch for c in contexts}) == 1
    assert len({tuple(sorted(c.addresses.items())) for c in contexts}) == 1


def test_a_bucket_is_captured_once_and_then_launched() -> None:
    library = FakeTrt()
    made = runner(library)
    for _ in range(4):
        made.run(images(1))
    calls = library.cuda.calls
    assert calls.count("begin_capture") == calls.count("end_capture") == 1
    assert calls.count("launch") == 3
    assert calls.count("upload") == 2  # the warm run and the recording, never again


def test_rtx_leaves_the_capture_to_the_library() -> None:
    library = FakeTrt()
    made = runner(library, rtx=True)
    made.run(images(1))
    made.run(images(1))
    assert "begin_capture" not in library.cuda.calls
    assert library.settings.cuda_graph_strategy == "whole"
    assert library.settings.strategy == "user"


def test_nothing_is_allocated_while_running() -> None:
    library = FakeTrt()
    made = runner(library)
    before = library.cuda.calls.count("allocate"), library.cuda.calls.count("pinned")
    for count in (1, 7, 32, 50):
        made.run(images(count))
    assert (library.cuda.calls.count("allocate"), library.cuda.calls.count("pinned")) == before


def test_results_do_not_alias_the_staging_memory() -> None:
    made = runner(FakeTrt())
    first = made.run(images(1))["score"].copy()
    kept = made.run(images(1))["score"]
    made.run(np.zeros((1, 1, 128, 96), np.float32))
    assert (kept == first).all()


@pytest.mark.parametrize("buckets", [(1,), (1, 2, 4), (3, 7)])
def test_the_largest_batch_bounds_memory(buckets: tuple[int, ...]) -> None:
    small = runner(FakeTrt(), limits=Limits(buckets=buckets))
    assert small.memory < runner(FakeTrt()).memory
    assert len(small.run(images(9))["score"]) == 9


def test_a_bound_on_memory_is_kept() -> None:
    with pytest.raises(DeviceMemoryError, match="the bound is 1 MiB") as caught:
        runner(FakeTrt(), limits=Limits(memory=2**20))
    assert "device_memory_mib" in caught.value.hint


def test_a_full_device_is_told_before_anything_is_allocated() -> None:
    library = FakeTrt(FakeCuda(free=1000))
    with pytest.raises(DeviceMemoryError, match="0 MiB are free"):
        runner(library)
    assert "allocate" not in library.cuda.calls


def test_an_allocation_that_fails_is_an_error_with_a_remedy() -> None:
    library = FakeTrt(FakeCuda(fail={"allocate": "cudaErrorMemoryAllocation"}))
    with pytest.raises(DeviceMemoryError, match="too little memory") as caught:
        runner(library)
    assert caught.value.retriable
    assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        ({"context": True}, DeviceMemoryError),
        ({"profiles": 1}, EngineFileError),
        ({"dtype": "half"}, EngineFileError),
    ],
)
def test_an_engine_that_is_not_ours_is_refused(
    fail: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        runner(FakeTrt(**fail))


def test_a_failed_enqueue_is_an_error() -> None:
    with pytest.raises(BackendError, match="failed on a batch of 2"):
        runner(FakeTrt(execute=0)).run(images(2))


@pytest.mark.parametrize("shape", [(0, 1, 128, 96), (1, 3, 128, 96), (128, 96)])
def test_an_array_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BackendError, match="takes"):
        runner(FakeTrt()).run(np.zeros(shape, np.float32))


def test_closing_gives_everything_back() -> None:
    library = FakeTrt()
    made = runner(library)
    made.close()
    assert library.cuda.calls[-1] == "release"
    assert not library.cuda.memory
    with pytest.raises(BackendError, match="closed"):  # never a write to memory that is gone
        made.run(images(1))


def test_a_failed_capture_does_not_leave_the_stream_capturing() -> None:
    library = FakeTrt(execute=1)
    with pytest.raises(BackendError, match="failed on a batch of 1"):
        runner(library).run(images(1))
    assert library.cuda.recording is None
    assert library.cuda.calls[-1] == "end_capture"


def test_each_run_chooses_its_device_for_the_calling_thread() -> None:
    library = FakeTrt()
    made = runner(library, limits=Limits(gpu=3))
    made.run(images(1))
    assert library.cuda.calls.index("choose 3") < library.cuda.calls.index("upload")
