"""ONNX operators in torch: those that our exports use, by the operator's own definition.

Shapes stay on the host: what ``Shape`` gives, and whole-number constants of rank 0 and 1, are
Python ints or lists of them (``Host``), so that ``torch.export`` keeps the batch symbolic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as fn
from torch import Tensor

Attributes = Mapping[str, Any]
Op = Callable[[Sequence[Any], Attributes], Any]
Host = int | list[int]

OPS: dict[str, Op] = {}


def op(*names: str) -> Callable[[Op], Op]:
    """Register an operator: (inputs, attributes) -> output."""

    def add(function: Op) -> Op:
        OPS.update(dict.fromkeys(names, function))
        return function

    return add


def hosted(value: Any) -> bool:
    """Whether a value lives on the host."""
    return value is not None and not isinstance(value, Tensor)


def tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """A tensor, made from a host value where needed."""
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, device=None if like is None else like.device)


def ints(value: Any) -> list[int]:
    """Host ints as a list."""
    if isinstance(value, Tensor):
        return [int(v) for v in value.flatten().tolist()]
    return list(value) if isinstance(value, list) else [value]


def _unary(run: Callable[[Tensor], Tensor]) -> Op:
    def apply(x: Sequence[Any], _: Attributes) -> Any:
        return run(x[0])

    return apply


for _name, _function in {
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Log": torch.log,
    "Exp": torch.exp, "Sqrt": torch.sqrt, "Erf": torch.erf, "Softplus": fn.softplus,
    "HardSwish": fn.hardswish, "Abs": torch.abs, "Neg": torch.neg, "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal, "Sign": torch.sign, "Floor": torch.floor,
}.items():  # fmt: skip
    OPS[_name] = _unary(_function)


def _binary(host: Callable[[Any, Any], Any], device: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def run(x: Sequence[Any], _: Attributes) -> Any:
        a, b = x
        if hosted(a) and hosted(b):
            if isinstance(a, list) or isinstance(b, list):
                one, two = ints(a), ints(b)
                n = max(len(one), len(two))
                one, two = one * (n // len(one)), two * (n // len(two))
                return [host(p, q) for p, q in zip(one, two, strict=True)]
            return host(a, b)
        like = a if isinstance(a, Tensor) else b
        return device(tensor(a, like), tensor(b, like))

    return run


_BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Tensor, Tensor], Tensor]]] = {
    "Add": (operator.add, torch.add), "Sub": (operator.sub, torch.sub),
    "Mul": (operator.mul, torch.mul), "Pow": (operator.pow, torch.pow),
    "Greater": (operator.gt, torch.gt), "GreaterOrEqual": (operator.ge, torch.ge),
    "Less": (operator.lt, torch.lt), "LessOrEqual": (operator.le, torch.le),
    "Equal": (operator.eq, torch.eq), "And": (operator.and_, torch.logical_and),
    "Or": (operator.or_, torch.logical_or), "Max": (max, torch.maximum),
    "Min": (min, torch.minimum),
}  # fmt: skip
OPS.update({name: _binary(*pair) for name, pair in _BINARY.items()})


@op("Div")
def _div(x: Sequence[Any], a: Attributes) -> Any:
    whole = all(hosted(v) or not v.is_floating_point() for v in x)
    if whole:  # truncates; our shapes are never negative
        return _binary(operator.floordiv, lambda p, q: torch.div(p, q, rounding_mode="trunc"))(x, a)
    return _binary(operator.truediv, torch.div)(x, a)


@op("Identity", "Dropout")
def _identity(x: Sequence[Any], _: Attributes) -> Any:
    return x[0]


@op("Clip")
def _clip(x: Sequence[Any], _: Attributes) -> Any:
    low, high = (x[k] if len(x) > k else None for k in (1, 2))
    value = x[0]
    if low is not None:
        value = torch.maximum(value, tensor(low, value))
    return value if high is None else torch.minimum(value, tensor(high, value))


@op("HardSigmoid")
def _hard_sigmoid(x: Sequence[Any], a: Attributes) -> Any:
    return (x[0] * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1)


@op("LeakyRelu")
def _leaky(x: Sequence[Any], a: Attributes) -> Any:
    return fn.leaky_relu(x[0], a.get("alpha", 0.01))


@op("Gelu")
def _gelu(x: Sequence[Any], a: Attributes) -> Any:
    return fn.gelu(x[0], approximate=a.get("approximate", "none"))


@op("Softmax")
def _softmax(x: Sequence[Any], a: Attributes) -> Any:
    return torch.softmax(x[0], a.get("axis", -1))


@op("Where")
def _where(x: Sequence[Any], _: Attributes) -> Any:
    like = next(v for v in x if isinstance(v, Tensor))
    return torch.where(*(tensor(v, like) for v in x))


@op("MatMul")
def _matmul(x: Sequence[Any], _: Attributes) -> Any:
    return torch.matmul(x[0], x[1])


@op("Gemm")
def _gemm(x: Sequence[Any], a: Attributes) -> Any:
    left = x[0].T if a.get("transA", 0) else x[0]
    right = x[1].T if a.get("transB", 0) else x[1]
    product = torch.matmul(left, right) * a.get("alpha", 1.0)
    return product if len(x) < 3 or x[2] is None else product + x[2] * a.get("beta", 1.0)


@op("BatchNormalization")
def _batch_norm(x: Sequence[Any], a: Attributes) -> Any:
    value, scale, bias, mean, variance = x
    return fn.batch_norm(value, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


@op("Cast")
def _cast(x: Sequence[Any], a: Attributes) -> Any:
    return x[0] if hosted(x[0]) else x[0].to(TYPES[a["to"]])


TYPES = {
    1: torch.float32, 3: torch.int8, 2: torch.uint8, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
"""``onnx.TensorProto.DataType`` -> torch."""
