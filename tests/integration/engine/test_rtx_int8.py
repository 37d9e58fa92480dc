"""The symmetric Q/DQ file of every bundle parses and builds with TensorRT-RTX (those of the zoo:
``test_rtx_zoo.py``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.trt.network import Recipe, build_plan
from ra_engine.bundle import load_bundle
from ra_engine.errors import BackendError
from ra_engine.quantise import Quantiser
from ra_plugins.bundles import demo, locator
from tests.support.rtx import builder

pytest.importorskip("onnx", reason="install ra-daemon[build]")
BUNDLES = {"demo": demo(), "locator": locator()}


def noise(rows: int, columns: int) -> np.ndarray:
    """Operators do not depend on the ranges: noise calibrates well enough to build."""
    return np.random.default_rng(0).normal(size=(1, 1, rows, columns)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(BUNDLES))
def test_a_shipped_bundle_in_int8(name: str, tmp_path: Path) -> None:
    api = builder()
    bundle = load_bundle(BUNDLES[name])
    table = bundle.manifest.preprocessing
    target = tmp_path / "s8.onnx"
    made = Quantiser(bundle.graph, noise(table.rows, table.columns), least=1)
    ladder = made.ladder()
    pairs = [level for level in ladder if level is not None]
    for levels in ([pairs[0]], [pairs[-1]]):
        made.write(target, "s8", levels)
        assert build_plan(api, target, Recipe()).outputs == bundle.outputs
    if (number := len(made.branches)) > 1:
        mixed = [None, *pairs[-1:] * (number - 1)]
        made.write(target, "s8", mixed, [0.1] * number)
        assert build_plan(api, target, Recipe()).outputs == bundle.outputs


def test_the_file_for_onnx_runtime_is_refused_by_name(tmp_path: Path) -> None:
    """Its activations are unsigned; the parser wants zero points of zero."""
    api = builder()
    bundle = load_bundle(BUNDLES["demo"])
    table = bundle.manifest.preprocessing
    target = tmp_path / "u8.onnx"
    Quantiser(bundle.graph, noise(table.rows, table.columns), least=1).write(target, "u8")
    with pytest.raises(BackendError) as caught:
        build_plan(api, target, Recipe())
    assert "symmetric" in caught.value.hint
