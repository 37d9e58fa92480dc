"""The precision recipe: where casts stand, what stays FP32, and how far results move."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.errors import BackendError
from ra_engine.recipe import LowPrecision, _bfloat16, cast_graph, cast_model
from ra_engine.spec import EngineSpec
from ra_plugins.bundles import demo, locator

onnx = pytest.importorskip("onnx", reason="install ra-daemon[build]")
TYPES = onnx.TensorProto
LOW = {"fp16": TYPES.FLOAT16, "bf16": TYPES.BFLOAT16}
BUNDLES = {"demo": demo(), "locator": locator()}


def conv(name: str, source: str, target: str) -> Any:
    return onnx.helper.make_node("Conv", [source, f"{name}_w"], [target], name=name)


def weight(name: str, out: int, into: int, k: int, scale: float = 1) -> Any:
    values = np.random.default_rng(out + into + k).normal(size=(out, into, k, k)) * scale
    return onnx.numpy_helper.from_array(values.astype(np.float32), f"{name}_w")


def small(*, scale: float = 1) -> Any:
    """Two convolutions with a Relu each, a 1x1 density, its sum; and a second branch that pools."""
    make = onnx.helper.make_node
    nodes = [
        conv("first", "x", "a"),
        make("Relu", ["a"], ["b"], name="relu1"),
        conv("second", "b", "c"),
        make("Relu", ["c"], ["d"], name="relu2"),
        conv("density", "d", "map"),
        make("ReduceSum", ["map", "axes"], ["score"], name="sum", keepdims=0),
        make("GlobalAveragePool", ["d"], ["pooled"], name="pool"),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "small",
        [value("x", TYPES.FLOAT, ("b", 1, 16, 16))],
        [value("score", TYPES.FLOAT, ("b",)), value("map", TYPES.FLOAT, ("b", 1, 12, 12)),
         value("pooled", TYPES.FLOAT, ("b", 8, 1, 1))],
        [weight("first", 4, 1, 3, scale), weight("second", 8, 4, 3), weight("density", 1, 8, 1),
         onnx.numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes")],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])


def types_of(model: Any) -> dict[str, int]:
    """Element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    found = {w.name: w.data_type for w in inferred.initializer}
    for info in (*inferred.input, *inferred.value_info, *inferred.output):
        found[info.name] = info.type.tensor_type.elem_type
    return found


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_trunk_is_low_and_the_head_is_full(precision: LowPrecision) -> None:
    model = small()
    kept = cast_model(model, precision)
    assert kept == ("density", "sum", "pool")
    types = types_of(model)
    by_name = {n.name: n for n in model.graph.node}
    for name in ("first", "second"):
        assert types[by_name[name].input[1]] == LOW[precision]
    assert types[by_name["density"].input[1]] == TYPES.FLOAT
    assert types["x"] == types["score"] == types["map"] == types["pooled"] == TYPES.FLOAT


def test_one_cast_for_each_crossing() -> None:
    """The last feature map feeds two head nodes and is cast once."""
    model = small()
    cast_model(model, "fp16")
    assert Counter(n.op_type for n in model.graph.node)["Cast"] == 2


def test_names_and_order_of_inputs_and_outputs_stay() -> None:
    for path in BUNDLES.values():
        model = onnx.load(str(path / "graph.onnx"))
        before = [i.name for i in model.graph.input], [o.name for o in model.graph.output]
        cast_model(model, "bf16")
        assert ([i.name for i in model.graph.input], [o.name for o in model.graph.output]) == before


@pytest.mark.parametrize("name", sorted(BUNDLES))
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_every_node_of_a_shipped_graph_has_one_float_type(
    name: str, precision: LowPrecision
) -> None:
    """Strongly typed networks take no mixture; shape inference sees every tensor."""
    model = onnx.load(str(BUNDLES[name] / "graph.onnx"))
    cast_model(model, precision)
    types = types_of(model)
    floats = {TYPES.FLOAT, *LOW.values()}
    low = 0
    for node in model.graph.node:
        if node.op_type == "Cast":
            continue
        exempt = (1, 2) if node.op_type == "Resize" else ()
        seen = {types[t] for k, t in enumerate(node.input) if t and k not in exempt} & floats
        assert len(seen) <= 1, f"{node.name}: {seen}"
        low += node.op_type == "Conv" and LOW[precision] in seen
    assert low > 10
    assert all(types[t.name] == TYPES.FLOAT for t in (*model.graph.input, *model.graph.output))


def test_fp16_moves_the_demonstration_score_by_less_than_the_gate(tmp_path: Path) -> None:
    cast_graph(BUNDLES["demo"] / "graph.onnx", tmp_path / "low.onnx", "fp16")
    runtime = OnnxRuntimeBackend()
    full = runtime.load(BUNDLES["demo"] / "graph.onnx", EngineSpec(threads=2))
    low = runtime.load(tmp_path / "low.onnx", EngineSpec(threads=2))
    images = np.random.default_rng(0).normal(size=(2, 1, 384, 288)).astype(np.float32)
    a, b = full.run(images), low.run(images)
    assert np.abs(a["score"] - b["score"]).max() <= 0.5
    assert (a["score"] != b["score"]).any()  # it did compute in FP16
    assert np.corrcoef(a["cam"].ravel(), b["cam"].ravel())[0, 1] >= 0.99


def test_the_same_file_comes_out_twice(tmp_path: Path) -> None:
    source = BUNDLES["locator"] / "graph.onnx"
    for name in ("one", "two"):
        cast_graph(source, tmp_path / name, "bf16")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.5, 3.14159, 1e-30, 65280.0, 1.00390625, 1.01171875])
def test_bfloat16_rounds_to_nearest_even(value: float) -> None:
    torch_like = onnx.numpy_helper.to_array(
        onnx.helper.make_tensor("t", TYPES.BFLOAT16, [1], [value])
    ).astype(np.float32)
    bits = _bfloat16(np.array([value], np.float32)).astype(np.uint32) << 16
    assert bits.view(np.float32)[0] == torch_like[0]


def test_a_weight_beyond_fp16_is_refused_with_the_other_type_named() -> None:
    with pytest.raises(BackendError, match="does not fit FP16") as caught:
        cast_model(small(scale=1e6), "fp16")
    assert "bf16" in caught.value.hint
    cast_model(small(scale=1e6), "bf16")


def test_a_graph_without_convolutions_is_refused(tmp_path: Path) -> None:
    from tests.support.bundles import GRAPHS

    with pytest.raises(BackendError, match="needs a graph with convolutions"):
        cast_graph(GRAPHS / "score.onnx", tmp_path / "low.onnx", "fp16")
