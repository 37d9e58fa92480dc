"""Small networks as ONNX; need ``onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class Drawn:
    """A graph under way, with weights from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.weights: list[Any] = []
        self.nodes: list[Any] = []

    def conv(self, name: str, source: str, shape: tuple[int, ...], **more: Any) -> str:
        """A convolution with a bias; the tensor that it makes has its name."""
        fan = float(np.prod(shape[1:]))
        scale = np.float32((2 / fan) ** 0.5)
        self.keep(f"{name}.weight", self.rng.standard_normal(shape).astype(np.float32) * scale)
        bias = self.rng.standard_normal(shape[0]).astype(np.float32) * np.float32(0.1)
        self.keep(f"{name}.bias", bias)
        return self.op("Conv", name, source, f"{name}.weight", f"{name}.bias", **more)

    def op(self, kind: str, name: str, *sources: str, **more: Any) -> str:
        """A node, and the tensor that it makes, of one name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(sources), [name], name=name, **more))
        return name

    def keep(self, name: str, values: Any) -> str:
        """An initialiser."""
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def save(self, path: Path, outputs: dict[str, tuple[Any, ...]]) -> Path:
        """Check and write; input x (b, 1, 64, 48)."""
        import onnx
        from onnx import TensorProto, helper

        made = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ("b", *s))
            for n, s in outputs.items()
        ]
        given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("b", 1, 64, 48))]
        graph = helper.make_graph(self.nodes, "small", given, made, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path


def pooled(path: Path, seed: int = 3) -> Path:
    """stem -> pooling by the largest of nine -> second -> score; its middle may be INT8."""
    g = Drawn(seed)
    a = g.op("Relu", "a", g.conv("stem", "x", (16, 1, 3, 3), pads=[1, 1, 1, 1]))
    more = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    b = g.op("Relu", "b", g.conv("second", g.op("MaxPool", "largest", a, **more), (16, 16, 3, 3)))
    c = g.conv("third", b, (1, 16, 1, 1))
    g.op("ReduceSum", "score", c, g.keep("places", np.array([1, 2, 3], np.int64)), keepdims=0)
    return g.save(path, {"score": ()})


def residual(path: Path, seed: int = 1) -> Path:
    """stem -> (first -> second) + shortcut -> density -> cam, score; a density head."""
    g = Drawn(seed)
    half = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
    a = g.op("Relu", "a", g.conv("stem", "x", (8, 1, 3, 3), **half))
    b = g.op("Relu", "b", g.conv("first", a, (16, 8, 3, 3), **half))
    c = g.conv("second", b, (16, 16, 3, 3), pads=[1, 1, 1, 1])
    d = g.conv("shortcut", a, (16, 8, 1, 1), strides=[2, 2])
    e = g.op("Relu", "e", g.op("Add", "sum", c, d))
    f = g.conv("density", e, (1, 16, 1, 1))
    g.op("Squeeze", "cam", f, g.keep("axis", np.array([1], np.int64)))
    g.op("ReduceSum", "score", "cam", g.keep("places", np.array([1, 2], np.int64)), keepdims=0)
    return g.save(path, {"score": (), "cam": (16, 12)})


def pair(
    path: Path, *, shared: bool = False, clipped: bool = False, classes: bool = False,
    sizes: tuple[float, ...] = (1, 1),
) -> Path:  # fmt: skip
    """Two networks of four convolutions, their members, and the score: a quarter of the first and
    three of the second.

    Args:
        shared: both begin with the same convolution.
        clipped: no member is below 0.
        classes: a third network of two convolutions gives two class logits.
        sizes: what each member is multiplied by; the larger it is, the larger its errors are.
    """
    g = Drawn(4)
    places = g.keep("places", np.array([2, 3], np.int64))
    last = g.keep("last", np.array([1], np.int64))
    stem = ""
    for i, size in enumerate(sizes):
        if not stem or not shared:
            stem = g.op("Relu", f"a{i}", g.conv(f"stem{i}", "x", (4, 1, 3, 3), strides=[2, 2]))
        t = stem
        for k in range(3):
            t = g.op("Relu", f"t{i}.{k}", g.conv(f"c{i}.{k}", t, (4, 4, 3, 3), pads=[1, 1, 1, 1]))
        pooled = g.op("ReduceMean", f"pooled{i}", t, places, keepdims=0)
        head = g.keep(f"head{i}", (size * np.ones((4, 1))).astype(np.float32))
        out = g.op("MatMul", f"out{i}", pooled, head)
        g.op("Relu" if clipped else "Identity", f"member{i}", out)
    members = g.op("Concat", "members", "member0", "member1", axis=1)
    parts = g.op("Mul", "parts", members, g.keep("shares", np.array([0.25, 0.75], np.float32)))
    g.op("ReduceSum", "score", parts, last, keepdims=0)
    if not classes:
        return g.save(path, {"members": (2,), "score": ()})
    t = g.op("Relu", "a2", g.conv("stem2", "x", (4, 1, 3, 3), strides=[2, 2]))
    t = g.op("Relu", "t2", g.conv("c2.0", t, (2, 4, 3, 3)))
    g.op("ReduceMean", "class_logits", t, places, keepdims=0)
    return g.save(path, {"members": (2,), "score": (), "class_logits": (2,)})
