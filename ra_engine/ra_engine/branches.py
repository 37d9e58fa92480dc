"""The networks of an ensemble within one graph, by what each member's score is made of.

INT8 is kinder to some networks than to others (MobileNetV2's bottlenecks suffer where a ResNet does
not notice), so what must stay FP32 is chosen for each of them alone (decision 0032).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

MEMBERS = "members"
_PASSING = frozenset({"Unsqueeze", "Squeeze", "Gather", "Reshape", "Identity", "Flatten", "Slice"})
_LINEAR = frozenset({"Gemm", "MatMul"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A network that shares no convolution with the others.

    Attributes:
        nodes: names of the nodes that its score is made of.
        member: its column of the output ``members``; None for the whole of a graph that is one
            branch, and for what no member is made of, as networks for the class alone.
        linear: whether that score is what its last linear layer gives, no more: then a constant
            may be added to it.
    """

    nodes: frozenset[str]
    member: int | None = None
    linear: bool = False


def branches(model: Any) -> tuple[Branch, ...]:
    """The branches of a graph whose nodes have names; one where its members share convolutions, or
    where it does not tell them apart."""
    made = {o: n for n in model.graph.node for o in n.output}
    whole = (Branch(nodes=frozenset(n.name for n in model.graph.node)),)
    joined = made.get(MEMBERS)
    if joined is None or joined.op_type != "Concat" or len(joined.input) < 2:
        return whole
    found = tuple(
        Branch(
            nodes=frozenset(n.name for n in _behind(name, made)),
            member=number,
            linear=_is_linear(name, made),
        )
        for number, name in enumerate(joined.input)
    )
    convolutions = {n.name for n in model.graph.node if n.op_type == "Conv"}
    if any(sum(name in b.nodes for b in found) > 1 for name in convolutions):
        return whole
    rest = whole[0].nodes.difference(*(b.nodes for b in found))
    return (*found, Branch(nodes=rest)) if rest & convolutions else found


def shift(model: Any, by: Iterable[float]) -> str:
    """Add one constant a member to ``members``, in place; the name of the new node.

    What is made of ``members``, the score first of all, is moved with it.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    place, joined = next((i, n) for i, n in enumerate(graph.node) if MEMBERS in n.output)
    raw, constant = f"{MEMBERS}_unmoved", f"{MEMBERS}_shift"
    joined.output[list(joined.output).index(MEMBERS)] = raw
    values = np.array([list(by)], np.float32)
    graph.initializer.append(numpy_helper.from_array(values, constant))
    graph.node.insert(place + 1, helper.make_node("Add", [raw, constant], [MEMBERS], constant))
    return constant


def _behind(name: str, made: dict[str, Any]) -> list[Any]:
    """The nodes that a tensor is made of."""
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        node = made.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            waiting += list(node.input)
    return list(found.values())


def _is_linear(name: str, made: dict[str, Any]) -> bool:
    node = made.get(name)
    while node is not None and node.op_type in _PASSING:
        node = made.get(node.input[0])
    return node is not None and node.op_type in _LINEAR
