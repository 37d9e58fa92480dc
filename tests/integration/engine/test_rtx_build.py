"""Every shipped bundle parses and builds with TensorRT-RTX: no unsupported operator, no GPU needed.

What this proves: the graphs, the precision recipe and the profiles are what a strongly typed
network takes. It says nothing about speed or numbers; those need a device.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_engine.backends.trt.network import Recipe, build_plan
from ra_engine.bundle import load_bundle
from ra_engine.recipe import cast_graph
from ra_plugins.bundles import demo, locator
from tests.support.rtx import builder

BUNDLES = {"demo": demo(), "locator": locator()}


@pytest.mark.parametrize("targets", [(), ("SM86",)], ids=["default-targets", "SM86"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", sorted(BUNDLES))
def test_a_shipped_bundle_parses_and_builds(
    name: str, precision: str, targets: tuple[str, ...], tmp_path: Path
) -> None:
    api = builder()
    bundle = load_bundle(BUNDLES[name])
    graph = bundle.graph
    if precision != "fp32":
        pytest.importorskip("onnx", reason="install ra-daemon[build]")
        graph = tmp_path / "graph.onnx"
        cast_graph(bundle.graph, graph, "fp16" if precision == "fp16" else "bf16")
    plan = build_plan(api, graph, Recipe(targets=targets))
    assert plan.outputs == bundle.outputs
    assert len(plan.content) > 100_000
    assert plan.layers > 50
