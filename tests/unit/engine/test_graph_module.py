"""ONNX operators in torch, one by one and as whole graphs, against ONNX Runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.errors import BackendError
from ra_plugins.bundles import demo, locator
from tests.support.bundles import GRAPHS

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
onnx = pytest.importorskip("onnx", reason="install ra-daemon[build]")
ort: Any = importlib.import_module("onnxruntime")
make: Callable[..., Any] = onnx.helper.make_node
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
RNG = np.random.default_rng(3)


def graph_module(path: Path) -> Any:
    from ra_engine.backends.graph.module import GraphModule

    return GraphModule(path).eval()


def both(path: Path, x: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    reference = session.run(None, {session.get_inputs()[0].name: x})
    with torch.no_grad():
        found = graph_module(path)(torch.from_numpy(x))
    return reference, [v.numpy() for v in found]


def save(nodes: list[Any], constants: dict[str, Any], path: Path) -> Path:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "one", [value("x", FLOAT, ("b", 2, 6, 8))], [value("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    onnx.save(model, str(path))
    return path


def f32(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def i64(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


UNARY = ["Relu", "Sigmoid", "Tanh", "Exp", "Erf", "Softplus", "HardSwish", "Abs", "Neg", "Sign"]
CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    **{name: ([make(name, ["x"], ["y"])], {}) for name in UNARY},
    "sqrt": ([make("Abs", ["x"], ["a"]), make("Sqrt", ["a"], ["y"])], {}),
    "clip": ([make("Clip", ["x", "lo", "hi"], ["y"])],
             {"lo": np.float32(-0.5), "hi": np.float32(0.5)}),
    "clip-open": ([make("Clip", ["x", "lo"], ["y"])], {"lo": np.float32(0)}),
    "hard-sigmoid": ([make("HardSigmoid", ["x"], ["y"], alpha=0.1, beta=0.4)], {}),
    "leaky": ([make("LeakyRelu", ["x"], ["y"], alpha=0.2)], {}),
    "gelu": ([make("Gelu", ["x"], ["y"], approximate="tanh")], {}),
    "softmax": ([make("Softmax", ["x"], ["y"], axis=1)], {}),
    "add-broadcast": ([make("Add", ["x", "c"], ["y"])], {"c": f32(2, 1, 1)}),
    "pow": ([make("Abs", ["x"], ["a"]), make("Pow", ["a", "two"], ["y"])],
            {"two": np.float32(1.5)}),
    "div": ([make("Div", ["x", "c"], ["y"])], {"c": np.float32(3)}),
    "where": ([make("LessOrEqual", ["x", "c"], ["m"]), make("Where", ["m", "c", "x"], ["y"])],
              {"c": np.float32(0)}),
    "conv": ([make("Conv", ["x", "w", "b"], ["y"], strides=[2, 1], pads=[1, 1, 1, 1])],
             {"w": f32(3, 2, 3, 3), "b": f32(3)}),
    "conv-uneven-pads": ([make("Conv", ["x", "w"], ["y"], pads=[0, 1, 1, 2])],
                         {"w": f32(3, 2, 3, 3)}),
    "conv-groups": ([make("Conv", ["x", "w"], ["y"], group=2, dilations=[2, 2])],
                    {"w": f32(4, 1, 2, 2)}),
    "max-pool": ([make("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2],
                       pads=[1, 1, 1, 1])], {}),
    "max-pool-uneven": ([make("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])],
                        {}),
    "average-pool": ([make("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2],
                           pads=[1, 1, 1, 1], count_include_pad=1)], {}),
    "global-average": ([make("GlobalAveragePool", ["x"], ["y"])], {}),
    "global-max": ([make("GlobalMaxPool", ["x"], ["y"])], {}),
    "batch-norm": ([make("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)],
                   {"s": f32(2), "b": f32(2), "m": f32(2), "v": np.abs(f32(2)) + 1}),
    "resize-nearest": ([make("Resize", ["x", "", "s"], ["y"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
                       {"s": np.array([1, 1, 2, 2], np.float32)}),
    "resize-linear": ([make("Resize", ["x", "", "s"], ["y"], mode="linear",
                            coordinate_transformation_mode="half_pixel")],
                      {"s": np.array([1, 1, 2, 2], np.float32)}),
    "mean": ([make("ReduceMean", ["x", "a"], ["y"], keepdims=0)], {"a": i64(2, 3)}),
    "sum-all": ([make("ReduceSum", ["x"], ["y"], keepdims=1)], {}),
    "max": ([make("ReduceMax", ["x", "a"], ["y"], keepdims=1)], {"a": i64(-1)}),
    "min": ([make("ReduceMin", ["x", "a"], ["y"], keepdims=0)], {"a": i64(1)}),
    "gemm": ([make("Flatten", ["x"], ["f"]),
              make("Gemm", ["f", "w", "c"], ["y"], transB=1, alpha=0.5, beta=2.0)],
             {"w": f32(3, 96), "c": f32(3)}),
    "matmul": ([make("MatMul", ["x", "w"], ["y"])], {"w": f32(8, 4)}),
    "gather-one": ([make("Gather", ["x", "i"], ["y"], axis=1)], {"i": np.int64(1)}),
    "gather-many": ([make("Gather", ["x", "i"], ["y"], axis=2)], {"i": i64(3, 0, -1)}),
    "slice": ([make("Slice", ["x", "s", "e", "a", "t"], ["y"])],
              {"s": i64(1, 0), "e": i64(5, 8), "a": i64(2, 3), "t": i64(2, 3)}),
    "flip": ([make("Slice", ["x", "s", "e", "a", "t"], ["y"])],
             {"s": i64(-1), "e": i64(-(2**63)), "a": i64(3), "t": i64(-1)}),
    "concat": ([make("Concat", ["x", "x"], ["y"], axis=1)], {}),
    "transpose": ([make("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])], {}),
    "squeeze": ([make("ReduceMean", ["x", "a"], ["m"], keepdims=1),
                 make("Squeeze", ["m", "a"], ["y"])], {"a": i64(1)}),
    "unsqueeze": ([make("Unsqueeze", ["x", "a"], ["y"])], {"a": i64(1, -1)}),
    "reshape-by-shape": (
        [make("Shape", ["x"], ["s"], start=0, end=1), make("Concat", ["s", "r"], ["t"], axis=0),
         make("Reshape", ["x", "t"], ["y"])], {"r": i64(-1, 4)}),
    "reshape-zero": ([make("Reshape", ["x", "r"], ["y"])], {"r": i64(0, 0, -1)}),
    "expand": (
        [make("Shape", ["x"], ["s"]), make("Expand", ["c", "s"], ["e"]),
         make("Mul", ["e", "x"], ["y"])], {"c": f32(1, 2, 1, 1)}),
    "shape-arithmetic": (
        [make("Shape", ["x"], ["s"]), make("Gather", ["s", "i"], ["h"]),
         make("Mul", ["h", "two"], ["d"]), make("Div", ["d", "two"], ["q"]),
         make("Unsqueeze", ["q", "zero"], ["u"]), make("Concat", ["first", "u"], ["t"], axis=0),
         make("Reshape", ["x", "t"], ["y"])],
        {"i": np.int64(2), "two": np.int64(2), "zero": i64(0), "first": i64(-1)}),
    "scatter": (
        [make("Shape", ["x"], ["s"]), make("ConstantOfShape", ["s"], ["z"]),
         make("ScatterElements", ["z", "i", "x"], ["y"], axis=1)],
        {"i": np.tile(np.array([1, 0])[None, :, None, None], (3, 1, 6, 8))}),
    "cumsum": ([make("CumSum", ["x", "a"], ["y"])], {"a": np.int64(1)}),
    "cumsum-other-way": ([make("CumSum", ["x", "a"], ["y"], reverse=1, exclusive=1)],
                         {"a": np.int64(3)}),
    "prod": ([make("ReduceProd", ["x", "a"], ["y"], keepdims=0)], {"a": i64(1, 3)}),
    "cast": ([make("Cast", ["x"], ["d"], to=11), make("Cast", ["d"], ["y"], to=1)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_operator_gives_what_onnx_runtime_gives(name: str, tmp_path: Path) -> None:
    path = save(*CASES[name], tmp_path / "graph.onnx")
    (reference,), (found,) = both(path, f32(3, 2, 6, 8))
    assert found.shape == reference.shape
    assert np.allclose(found, reference, atol=1e-5)


@pytest.mark.parametrize("bundle", [demo(), locator()], ids=lambda p: p.name)
def test_a_shipped_bundle_gives_what_onnx_runtime_gives(bundle: Path) -> None:
    module = graph_module(bundle / "graph.onnx")
    x = f32(2, *module.shape)
    reference, found = both(bundle / "graph.onnx", x)
    for a, b in zip(reference, found, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-5 * max(1.0, np.abs(a).max())


def test_the_batch_stays_free_through_torch_export() -> None:
    module = graph_module(GRAPHS / "score.onnx")
    batch = torch.export.Dim("b", min=1, max=32)
    program = torch.export.export(
        module, (torch.zeros(2, *module.shape),), dynamic_shapes=({0: batch},), strict=False
    ).module()
    for count in (1, 5):
        x = torch.from_numpy(f32(count, *module.shape))
        for a, b in zip(module(x), program(x), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_bf16_weights_are_read_as_such(tmp_path: Path) -> None:
    from ra_engine.recipe import cast_graph

    cast_graph(demo() / "graph.onnx", tmp_path / "low.onnx", "bf16")
    low, full = graph_module(tmp_path / "low.onnx"), graph_module(demo() / "graph.onnx")
    kinds = {b.dtype for b in low.buffers()}
    assert kinds == {torch.bfloat16, torch.float32}
    x = torch.from_numpy(f32(1, *full.shape))
    with torch.no_grad():
        a, b = full(x)[1], low(x)[1]
    assert a != b
    assert abs(a - b) <= 0.01 * abs(a)


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    path = save([make("Mish", ["x"], ["y"])], {}, tmp_path / "graph.onnx")
    with pytest.raises(BackendError, match="have no Mish"):
        graph_module(path)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (make("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER"), {"w": f32(1, 2, 3, 3)}),
        (make("Resize", ["x", "", "s"], ["y"], mode="cubic"),
         {"s": np.array([1, 1, 2, 2], np.float32)}),
    ],
)  # fmt: skip
def test_a_variant_that_we_do_not_have_is_refused(
    node: Any, constants: dict[str, Any], tmp_path: Path
) -> None:
    module = graph_module(save([node], constants, tmp_path / "graph.onnx"))
    with pytest.raises(BackendError, match="not supported by the torch backends"):
        module(torch.zeros(1, 2, 6, 8))
