"""What an engine is asked to be, what a backend must offer, what the processor can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_engine import registry
from ra_engine.contracts import Backend
from ra_engine.cpu import cpu_features
from ra_engine.spec import EngineSpec


def test_the_ordinal_is_the_gpus_number() -> None:
    assert EngineSpec().ordinal is None
    assert EngineSpec(device="cuda:1").ordinal == 1
    assert EngineSpec(device="cuda").ordinal == 0


def test_rows_is_the_largest_bucket() -> None:
    assert EngineSpec(buckets=(1, 2, 8)).rows == 8


class Former:
    """A backend as they were before ``EngineSpec``."""

    name = "former"

    def load(self, graph: Path, *, threads: int) -> object:
        return graph, threads


def test_a_backend_of_the_former_shape_is_none() -> None:
    assert not isinstance(Former(), Backend)


def test_shipped_backends_have_the_shape_and_offer_fp32() -> None:
    found, broken = registry.load_backends()
    assert not broken
    assert all(b.name == name and b.family in ("cpu", "cuda") for name, b in found.items())
    assert found["onnxruntime"].forms["fp32"] == "master"


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("processor : 0\nflags : fpu avx2 amx_int8 avx512f x\n", ("avx2", "avx512f", "amx_int8")),
        ("Features : fp asimd bf16\n", ("asimd", "bf16")),
        ("model name : something\n", ()),
    ],
)
def test_vector_units_are_read_in_a_fixed_order(
    tmp_path: Path, text: str, units: tuple[str, ...]
) -> None:
    cpu_features.cache_clear()  # it knows a file by its path
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_features(tmp_path / "cpuinfo")[1:] == units
    assert len(cpu_features(tmp_path / "none")) == 1
