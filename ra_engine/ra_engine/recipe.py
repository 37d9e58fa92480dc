"""The precision recipe: an FP32 graph rewritten to FP16 or BF16, with FP32 at both ends.

TensorRT 11 builds strongly typed networks only: an engine computes in the types that the graph
states, so the graph is where precision is decided. What the recipe does:

- inputs and outputs of the graph stay FP32;
- the *body* computes in the low type: every convolution that leads to another one, the last
  convolutions of the trunk, and the pointwise operators that hang on them;
- the *head* stays FP32: everything behind the body (pooling, linear layers, stacking, the
  heatmap), and a 1x1 convolution with fewer outputs than inputs that no convolution follows,
  since that is a linear layer over places (a damage density, landmark maps);
- casts stand only where the two meet, one for each tensor.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ra_engine.errors import BackendError

LowPrecision = Literal["fp16", "bf16"]

RECIPE = "cast-body-1"
"""Raised when the same graph would be rewritten differently: part of every engine key."""

_MAC = frozenset({"Conv", "ConvTranspose"})
_FOLLOWERS = frozenset(
    [
        "Add",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Div",
        "Elu",
        "Erf",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Mul",
        "PRelu",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sub",
        "Tanh",
        "MaxPool",
    ]
)
"""Operators that stay in the body when all they read comes from it."""
_KEEP = frozenset(
    ["Cast", "CastLike", "ConstantOfShape", "Range", "RandomNormal", "RandomUniform", "EyeLike"]
)
"""Operators that state a type of their own: left alone."""
_FP32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs (by position) that stay FP32 by the operator's definition."""
_FP16_MAX = 65504.0


def cast_graph(source: Path, target: Path, precision: LowPrecision) -> tuple[str, ...]:
    """Rewrite an FP32 ONNX file; return the names of the nodes kept in FP32.

    Raises:
        BackendError: ``onnx`` is missing, the file holds no FP32 convolution graph, or a weight
            does not fit FP16.
    """
    onnx = _onnx()
    model = onnx.load(str(source))
    kept = cast_model(model, precision)
    onnx.save(model, str(target))
    return kept


def cast_model(model: Any, precision: LowPrecision) -> tuple[str, ...]:
    """Rewrite an ``onnx.ModelProto`` in place; see ``cast_graph``."""
    onnx = _onnx()
    return _Rewrite(onnx, model, precision).run()


def body(nodes: Iterable[Any], weights: dict[str, Any]) -> set[str]:
    """Names of the tensors that the body makes, by the rule in the module's text.

    Args:
        nodes: ``NodeProto`` in topological order.
        weights: initialisers by name.
    """
    ordered = list(nodes)
    leads = _leads_to_convolution(ordered)
    made: set[str] = set()
    for node in ordered:
        outs = [o for o in node.output if o]
        if node.op_type in _KEEP:
            continue
        inputs = [i for i in node.input if i and i not in weights]
        follows = node.op_type in _FOLLOWERS and bool(inputs) and made.issuperset(inputs)
        if node.op_type in _MAC:
            mine = any(o in leads for o in outs) or not _linear(node, weights)
        else:
            mine = any(o in leads for o in outs) or follows
        if mine:
            made.update(outs)
    return made


def _leads_to_convolution(ordered: list[Any]) -> set[str]:
    """Tensors from which a later convolution is reached."""
    leads: set[str] = set()
    for node in reversed(ordered):
        if node.op_type in _MAC or any(o in leads for o in node.output):
            leads.update(i for i in node.input if i)
    return leads


def _linear(node: Any, weights: dict[str, Any]) -> bool:
    """A 1x1 convolution with fewer outputs than inputs."""
    weight = weights.get(node.input[1])
    if node.op_type != "Conv" or weight is None:
        return False
    outputs, inputs, *kernel = weight.dims
    return all(k == 1 for k in kernel) and outputs < inputs


class _Rewrite:
    """One pass over one graph."""

    def __init__(self, onnx: Any, model: Any, precision: LowPrecision) -> None:
        self.onnx, self.model, self.graph = onnx, model, model.graph
        types = onnx.TensorProto
        self.low = types.FLOAT16 if precision == "fp16" else types.BFLOAT16
        self.full, self.precision = types.FLOAT, precision
        _lift_constants(onnx, self.graph)
        self.weights = {w.name: w for w in self.graph.initializer}
        self.body = body(self.graph.node, self.weights)
        self.floats = self._floats()
        self.made: dict[tuple[str, int], str] = {}
        self.nodes: list[Any] = []

    def run(self) -> tuple[str, ...]:
        if not any(n.op_type in _MAC and n.output[0] in self.body for n in self.graph.node):
            raise BackendError("The precision recipe needs a graph with convolutions.")
        outputs = {o.name for o in self.graph.output}
        kept = []
        for node in list(self.graph.node):
            low = node.output[0] in self.body
            if not low:
                kept.append(node.name)
            self._feed(node, self.low if low else self.full)
            for k, name in enumerate(node.output):
                if low and name in outputs and name in self.floats:
                    node.output[k] = f"{name}_{self.precision}"
                    self.nodes.append(node)
                    self.nodes.append(self._cast(node.output[k], name, self.full))
                    break
            else:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]
        self._drop_unused()
        return tuple(kept)

    def _floats(self) -> set[str]:
        """Tensors of type FP32."""
        inferred = self.onnx.shape_inference.infer_shapes(self.model).graph
        found = {w.name for w in self.graph.initializer if w.data_type == self.full}
        for info in (*inferred.input, *inferred.value_info, *inferred.output):
            if info.type.tensor_type.elem_type == self.full:
                found.add(info.name)
        return found

    def _feed(self, node: Any, want: int) -> None:
        """Make every FP32-family input of a node of the wanted type."""
        exempt = _FP32_INPUTS.get(node.op_type, ())
        for k, name in enumerate(node.input):
            if not name or name not in self.floats or k in exempt:
                continue
            have = self.low if name in self.body else self.full
            if have != want:
                node.input[k] = self._as(name, want)

    def _as(self, name: str, want: int) -> str:
        made = self.made.get((name, want))
        if made is None:
            made = f"{name}_{'fp32' if want == self.full else self.precision}_in"
            if name in self.weights:
                self.graph.initializer.append(self._low_weight(self.weights[name], made))
            else:
                self.nodes.append(self._cast(name, made, want))
            self.made[(name, want)] = made
        return made

    def _cast(self, source: str, target: str, to: int) -> Any:
        return self.onnx.helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=to)

    def _low_weight(self, weight: Any, name: str) -> Any:
        values = self.onnx.numpy_helper.to_array(weight)
        if self.precision == "fp16":
            finite = values[np.isfinite(values)]
            if finite.size and np.abs(finite).max() > _FP16_MAX:
                raise BackendError(
                    f"Weight {weight.name} does not fit FP16.", hint="Use bf16 for this bundle."
                )
            raw = values.astype(np.float16).tobytes()
        else:
            raw = _bfloat16(values).tobytes()
        return self.onnx.helper.make_tensor(name, self.low, list(weight.dims), raw, raw=True)

    def _drop_unused(self) -> None:
        used = {i for n in self.graph.node for i in n.input} | {o.name for o in self.graph.output}
        kept = [w for w in self.graph.initializer if w.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def _bfloat16(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, Any]:
    """The upper halves of FP32 words, rounded to nearest even."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (words >> np.uint32(16)) & np.uint32(1)
    return ((words + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)


def _lift_constants(onnx: Any, graph: Any) -> None:
    """Turn Constant nodes into initialisers, so that a weight is a weight wherever it stands."""
    rest = []
    for node in graph.node:
        value = next(_values(node), None) if node.op_type == "Constant" else None
        if value is None:
            rest.append(node)
            continue
        value.name = node.output[0]
        graph.initializer.append(value)
    if len(rest) != len(graph.node):
        del graph.node[:]
        graph.node.extend(rest)


def _values(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.name == "value":
            yield attribute.t


def _onnx() -> Any:
    try:
        onnx = importlib.import_module("onnx")
        importlib.import_module("onnx.shape_inference")
    except ImportError as error:
        raise BackendError(
            f"onnx cannot be imported: {error}", hint="pip install 'ra-daemon[build]'"
        ) from error
    return onnx
