"""``GraphModule``: an ONNX file as a torch module whose forward runs its nodes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import ra_engine.backends.graph.shaping
import ra_engine.backends.graph.spatial  # noqa: F401 - both register their operators
from ra_engine.backends.graph.ops import OPS, TYPES
from ra_engine.errors import BackendError

_BF16 = onnx.TensorProto.BFLOAT16


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node: operator, names of inputs ("" where absent), name of the output, attributes."""

    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class GraphModule(nn.Module):
    """An ONNX graph with one input (batch, 1, rows, columns).

    Attributes:
        names: of the outputs, in the order that ``forward`` gives them.
        shape: (1, rows, columns) of the input.
    """

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            BackendError: it uses an operator that the torch backends do not have; it is named.
        """
        super().__init__()
        model = onnx.load(str(path))
        graph = model.graph
        unknown = {n.op_type for n in graph.node} - OPS.keys() - {"Constant"}
        if unknown:
            raise BackendError(
                f"{path.name}: the torch backends have no {', '.join(sorted(unknown))}.",
                hint="Name another backend in [engine] backends.",
            )
        self._input = graph.input[0].name
        dims = graph.input[0].type.tensor_type.shape.dim
        self.shape = tuple(d.dim_value for d in dims)[1:]
        self.names = tuple(o.name for o in graph.output)
        self._host: dict[str, Any] = {}
        self._weights: dict[str, str] = {}
        for weight in graph.initializer:
            self._keep(weight.name, weight)
        for node in graph.node:
            if node.op_type == "Constant":
                self._keep(node.output[0], node.attribute[0].t)
        self._steps = [_step(n) for n in graph.node if n.op_type != "Constant"]
        self._last = _last_uses(self._steps, self.names)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(batch, 1, rows, columns) float32 -> outputs, in the order of ``names``."""
        values: dict[str, Any] = dict(self._host)
        values[self._input] = x
        for name, attribute in self._weights.items():
            values[name] = getattr(self, attribute)
        for step, done in zip(self._steps, self._last, strict=True):
            given = [values[i] if i else None for i in step.inputs]
            values[step.output] = OPS[step.name](given, step.attributes)
            for name in done:
                del values[name]
        return tuple(_contiguous(values[n]) for n in self.names)

    def _keep(self, name: str, proto: Any) -> None:
        """A constant: whole numbers of rank 0 and 1 stay on the host, the rest are buffers."""
        value = _tensor(proto)
        if not value.is_floating_point() and value.dtype != torch.bool and value.ndim <= 1:
            self._host[name] = value.tolist()
            return
        attribute = f"w{len(self._weights)}"
        self._weights[name] = attribute
        self.register_buffer(attribute, value)


def _tensor(proto: Any) -> Tensor:
    if proto.data_type == _BF16:
        raw = np.frombuffer(proto.raw_data, np.int16).copy()
        return torch.from_numpy(raw).view(torch.bfloat16).reshape(tuple(proto.dims))
    value = np.array(numpy_helper.to_array(proto))  # writable, aligned
    return torch.from_numpy(value).to(TYPES[proto.data_type])


def _step(node: Any) -> Step:
    attributes = {a.name: _attribute(a) for a in node.attribute}
    return Step(
        name=node.op_type,
        inputs=tuple(node.input),
        output=node.output[0],
        attributes=attributes,
    )


def _attribute(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return _tensor(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _last_uses(steps: Sequence[Step], kept: Sequence[str]) -> list[list[str]]:
    """For each step the intermediate values that nothing reads after it."""
    made = {s.output for s in steps} - set(kept)
    seen: set[str] = set()
    last: list[list[str]] = []
    for step in reversed(steps):
        mine = [
            n for n in dict.fromkeys((*step.inputs, step.output)) if n in made and n not in seen
        ]
        seen.update(mine)
        last.append(mine)
    return last[::-1]


def _contiguous(value: Tensor) -> Tensor:
    return value.to(torch.float32).contiguous()
