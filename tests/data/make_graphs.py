"""Makes the tiny graphs of the tests; needs ``onnx``: python tests/data/make_graphs.py.

``score.onnx`` has the outputs of a score bundle and ``locator.onnx`` those of the locator, with the
arithmetic kept so small that a test can state the right answer:

score    m = mean of the input; members = (40 m, 60 m, 80 m), score = 60 m,
         class_logits = 4 m - (0, 1), cam = the input's average over cells of 32 x 32.
locator  heat and offset are constant maps of one known hand; kind = (10, 0, 0, 0);
         physes = -4; embedding = (m, 0, 0, 0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "graphs"
ROWS, COLUMNS = 128, 96
CELLS = 64
WRIST, SPAN = (32.0, 52.0), 18.0
RAYS = ((0.45, 0.2), (0.20, 0.0), (0.05, 0.0), (-0.12, 0.05), (-0.26, 0.1))


def landmarks() -> np.ndarray:
    """(21, 2) cells of the one hand that the locator graph sees."""
    x, y = WRIST
    points = [(x, y)]
    for sideways, shorter in RAYS:
        for along in (0.25, 1.0, 1.45, 1.95):
            points.append((x + SPAN * sideways * along, y - SPAN * along * (1 - shorter)))
    return np.array(points, np.float32)


def constant(name: str, value: object) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(np.asarray(value), name)
    return helper.make_node("Constant", [], [name], value=tensor)


def save(name: str, nodes: list, shape: tuple, outputs: dict[str, tuple]) -> None:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 1, *shape))],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.producer_name = "ra-daemon-tests"
    onnx.checker.check_model(model)
    onnx.save(model, str(FOLDER / f"{name}.onnx"))


def mean_of_image() -> list[onnx.NodeProto]:
    return [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"], axis=1),
    ]


def score() -> None:
    nodes = [
        *mean_of_image(),
        constant("weights", np.array([[40, 60, 80]], np.float32)),
        helper.make_node("MatMul", ["mean", "weights"], ["members"]),
        constant("sixty", np.array(60, np.float32)),
        helper.make_node("Mul", ["mean", "sixty"], ["column"]),
        constant("flat", np.array([-1], np.int64)),
        helper.make_node("Reshape", ["column", "flat"], ["score"]),
        constant("four", np.array([[4, 4]], np.float32)),
        helper.make_node("MatMul", ["mean", "four"], ["raw"]),
        constant("steps", np.array([0, 1], np.float32)),
        helper.make_node("Sub", ["raw", "steps"], ["class_logits"]),
        helper.make_node(
            "AveragePool", ["image"], ["cells"], kernel_shape=[32, 32], strides=[32, 32]
        ),
        constant("channel", np.array([1], np.int64)),
        helper.make_node("Squeeze", ["cells", "channel"], ["cam"]),
    ]
    outputs = {
        "members": ("b", 3),
        "score": ("b",),
        "class_logits": ("b", 2),
        "cam": ("b", ROWS // 32, COLUMNS // 32),
    }
    save("score", nodes, (ROWS, COLUMNS), outputs)


def peaks(channels: list[tuple[float, float]]) -> list[onnx.NodeProto]:
    """Heat from outer products, so that the file stays small."""
    cell = np.arange(CELLS, dtype=np.float32)
    x = np.array([p[0] for p in channels], np.float32)[:, None]
    y = np.array([p[1] for p in channels], np.float32)[:, None]
    gx = np.exp(-0.5 * ((cell - x) / 1.3) ** 2)[None, :, None, :]
    gy = np.exp(-0.5 * ((cell - y) / 1.3) ** 2)[None, :, :, None]
    return [
        constant("gx", gx.astype(np.float32)),
        constant("gy", gy.astype(np.float32)),
        helper.make_node("Mul", ["gx", "gy"], ["one_heat"]),
    ]


def widened(one: str, out: str, rank: int) -> list[onnx.NodeProto]:
    """Repeat a constant for every row of the batch: add 0 x mean."""
    axes = np.arange(2, rank, dtype=np.int64)
    shaped = "zero" if rank == 2 else f"{out}_zero"
    nodes = []
    if rank > 2:
        nodes = [
            constant(f"{out}_axes", axes),
            helper.make_node("Unsqueeze", ["zero", f"{out}_axes"], [shaped]),
        ]
    return [*nodes, helper.make_node("Add", [one, shaped], [out])]


def locator() -> None:
    points = landmarks()
    # Offsets are read at the centre's cell, which need not be the knuckle's exact place.
    knuckle = np.round(points[10])
    offset = ((points - knuckle) / CELLS).reshape(1, 42, 1, 1).astype(np.float32)
    nodes = [
        *mean_of_image(),
        constant("nought", np.array(0, np.float32)),
        helper.make_node("Mul", ["mean", "nought"], ["zero"]),
        *peaks([*(tuple(p) for p in points), tuple(points[10])]),
        *widened("one_heat", "heat", 4),
        constant("one_offset", offset),
        constant("grid", np.array([1, 42, CELLS, CELLS], np.int64)),
        helper.make_node("Expand", ["one_offset", "grid"], ["all_offset"]),
        *widened("all_offset", "offset", 4),
        constant("one_kind", np.array([[10, 0, 0, 0]], np.float32)),
        *widened("one_kind", "kind", 2),
        constant("one_physes", np.array([[-4]], np.float32)),
        *widened("one_physes", "physes", 2),
        constant("pick", np.array([[1, 0, 0, 0]], np.float32)),
        helper.make_node("MatMul", ["mean", "pick"], ["embedding"]),
    ]
    outputs = {
        "heat": ("b", 22, CELLS, CELLS),
        "offset": ("b", 42, CELLS, CELLS),
        "kind": ("b", 4),
        "physes": ("b", 1),
        "embedding": ("b", 4),
    }
    save("locator", nodes, (256, 256), outputs)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    score()
    locator()
