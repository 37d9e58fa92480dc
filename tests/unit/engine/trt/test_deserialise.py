"""A plan that does not load: one line that says why, and what helps."""

from __future__ import annotations

import pytest

from ra_engine.backends.trt.deserialise import Loaded
from ra_engine.errors import BackendError, DeviceMemoryError, DriverError, EngineFileError
from tests.support.bundles import GRAPHS
from tests.support.trt import MARK, FakeTrt

PLAN = MARK + (GRAPHS / "score.onnx").read_bytes()


@pytest.mark.parametrize(
    ("bits", "error", "text"),
    [
        (1, EngineFileError, "another library version"),
        (2, DriverError, "kind of GPU"),
        (4, DriverError, "driver is older"),
        (8, DriverError, "CUDA runtime is older"),
        (16, DeviceMemoryError, "too little memory"),
        (32, EngineFileError, "damaged"),
        (64, DriverError, "CUDA does not work"),
        (4 | 32, DriverError, "driver is older"),
        (128, EngineFileError, "no reason"),
    ],
)
def test_rtx_tells_why_before_loading(bits: int, error: type[BackendError], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        Loaded(FakeTrt(validity=bits), PLAN, rtx=True)
    assert len(caught.value.hint) > 20
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Error Code 2: OutOfMemory (requested 12 bytes)", DeviceMemoryError),
        ("CUDA out of memory", DeviceMemoryError),
        ("(cudaError 35: CUDA driver version is insufficient)", DriverError),
        ("Serialization assertion stdVersionRead == kVERSION failed", EngineFileError),
        ("", EngineFileError),
    ],
)
def test_what_the_library_says_decides_the_error(said: str, error: type[BackendError]) -> None:
    with pytest.raises(error) as caught:
        Loaded(FakeTrt(load=said), PLAN, rtx=False)
    assert said.split("\n")[0] in str(caught.value)


def test_a_foreign_file_is_no_plan() -> None:
    with pytest.raises(EngineFileError) as caught:
        Loaded(FakeTrt(), b"\x7fELF", rtx=False)
    assert "models build" in caught.value.hint
