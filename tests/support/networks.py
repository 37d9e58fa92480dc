"""A small network with a residual block and a density head, as ONNX; needs ``onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def residual(path: Path, seed: int = 1) -> Path:
    """stem -> (first -> second) + shortcut -> density -> cam, score; input (b, 1, 64, 48)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    weights: list[Any] = []
    nodes: list[Any] = []

    def conv(name: str, source: str, shape: tuple[int, ...], **more: Any) -> str:
        fan = float(np.prod(shape[1:]))
        values = rng.standard_normal(shape).astype(np.float32) * np.float32((2 / fan) ** 0.5)
        weights.append(numpy_helper.from_array(values, f"{name}.weight"))
        bias = rng.standard_normal(shape[0]).astype(np.float32) * np.float32(0.1)
        weights.append(numpy_helper.from_array(bias, f"{name}.bias"))
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight", f"{name}.bias"], [name], name=name, **more
            )
        )
        return name

    def op(kind: str, name: str, *sources: str, **more: Any) -> str:
        nodes.append(helper.make_node(kind, list(sources), [name], name=name, **more))
        return name

    half = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
    a = op("Relu", "a", conv("stem", "x", (8, 1, 3, 3), **half))
    b = op("Relu", "b", conv("first", a, (16, 8, 3, 3), **half))
    c = conv("second", b, (16, 16, 3, 3), pads=[1, 1, 1, 1])
    d = conv("shortcut", a, (16, 8, 1, 1), strides=[2, 2])
    e = op("Relu", "e", op("Add", "sum", c, d))
    f = conv("density", e, (1, 16, 1, 1))
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    weights.append(numpy_helper.from_array(np.array([1, 2], np.int64), "places"))
    op("Squeeze", "cam", f, "axis")
    op("ReduceSum", "score", "cam", "places", keepdims=0)
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("b", 1, 64, 48))],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ("b",)),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ("b", 16, 12)),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
