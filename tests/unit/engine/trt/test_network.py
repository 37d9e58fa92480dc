"""Building against a double: profiles, flags, bounds, timing cache, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_engine.backends.trt.network import PROFILES, Recipe, build_plan
from ra_engine.errors import BackendError, DeviceMemoryError
from tests.support.bundles import GRAPHS
from tests.support.trt import FakeTrt

GRAPH = GRAPHS / "score.onnx"


def test_both_profiles_are_stated_with_the_graphs_own_size() -> None:
    library = FakeTrt()
    plan = build_plan(library, GRAPH, Recipe())
    stated = [a for name, a in library.calls if name == "profile"]
    size = (1, 128, 96)
    assert stated == [
        ("image", (lo, *size), (best, *size), (hi, *size)) for lo, best, hi in PROFILES
    ]
    assert plan.outputs == ("members", "score", "class_logits", "cam")


def test_tf32_is_off_unless_asked_for() -> None:
    """It is on by default in the library, and an FP32 engine would not be one."""
    for wanted in (False, True):
        library = FakeTrt()
        build_plan(library, GRAPH, Recipe(tf32=wanted))
        cleared = ("clear_flag", (library.BuilderFlag.TF32,)) in library.calls
        assert cleared is not wanted


def test_memory_and_targets_reach_the_builder() -> None:
    class Targets:
        SM86, SM80 = "sm86", "sm80"

    library = FakeTrt()
    library.ComputeCapability = Targets  # type: ignore[attr-defined]
    build_plan(library, GRAPH, Recipe(workspace=2**28, targets=("SM86", "SM80")))
    assert ("set_memory_pool_limit", ("workspace", 2**28)) in library.calls
    assert ("set_compute_capability", ("sm80", 1)) in library.calls


def test_a_timing_cache_is_touched_only_when_given() -> None:
    library = FakeTrt()
    assert build_plan(library, GRAPH, Recipe()).timing == b""
    assert not [name for name, _ in library.calls if "timing" in name]
    assert build_plan(library, GRAPH, Recipe(), timing=b"old").timing == b"times"
    assert ("create_timing_cache", (b"old",)) in library.calls


def test_an_unsupported_operator_is_named() -> None:
    library = FakeTrt(parse="No importer registered for op:\n  Fancy")
    with pytest.raises(BackendError, match=r"at node node_conv2d_3: No importer .* Fancy"):
        build_plan(library, GRAPH, Recipe())


@pytest.mark.parametrize(
    "said",
    [
        "input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8",
        "Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point",
    ],
)
def test_the_other_runtimes_int8_file_is_recognised(said: str) -> None:
    with pytest.raises(BackendError) as caught:
        build_plan(FakeTrt(parse=said), GRAPH, Recipe())
    assert "symmetric" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "error", "remedy"),
    [
        ("Requested memory is too large", DeviceMemoryError, "Free memory"),
        ("FP32 GEMM is not supported on this device", BackendError, "fp16"),
        ("", BackendError, "doctor"),
    ],
)
def test_a_builder_without_a_plan_says_why(
    said: str, error: type[BackendError], remedy: str
) -> None:
    with pytest.raises(error) as caught:
        build_plan(FakeTrt(plan=said), GRAPH, Recipe())
    assert remedy in caught.value.hint


def test_every_choice_is_part_of_the_key() -> None:
    base = Recipe().facts()
    for changed in (
        Recipe(tf32=True),
        Recipe(level=5),
        Recipe(workspace=1),
        Recipe(targets=("SM86",)),
        Recipe(profiles=((1, 1, 1),)),
    ):
        assert changed.facts() != base


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    library = FakeTrt(parse="Input file cannot be found")
    with pytest.raises(BackendError, match="cannot be found"):
        build_plan(library, tmp_path / "graph.onnx", Recipe())
