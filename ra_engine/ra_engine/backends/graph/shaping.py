"""Shapes, slices, joins and reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ra_engine.backends.graph.ops import OPS, TYPES, Attributes, hosted, ints, op, tensor


@op("Shape")
def _shape(x: Sequence[Any], a: Attributes) -> Any:
    return list(x[0].shape)[a.get("start", 0) : a.get("end", None)]


@op("Size")
def _size(x: Sequence[Any], _: Attributes) -> Any:
    return x[0].numel()


@op("Concat")
def _concat(x: Sequence[Any], a: Attributes) -> Any:
    if all(hosted(v) for v in x):
        return [n for v in x for n in ints(v)]
    like = next(v for v in x if isinstance(v, Tensor))
    return torch.cat([tensor(v, like) for v in x], a["axis"])


@op("Reshape")
def _reshape(x: Sequence[Any], a: Attributes) -> Any:
    if hosted(x[0]):
        value = ints(x[0])
        return value if ints(x[1]) else value[0]
    wanted = ints(x[1])
    if not a.get("allowzero", 0):
        wanted = [x[0].shape[k] if _is_zero(n) else n for k, n in enumerate(wanted)]
    return x[0].reshape(wanted)


@op("Expand")
def _expand(x: Sequence[Any], _: Attributes) -> Any:
    wanted, value = ints(x[1]), tensor(x[0])
    missing = len(wanted) - value.ndim
    have = [1] * missing + list(value.shape)
    # ONNX broadcasts both ways: a wanted 1 keeps what is there.
    return value.expand([h if _is_one(w) else w for h, w in zip(have, wanted, strict=True)])


@op("Unsqueeze")
def _unsqueeze(x: Sequence[Any], _: Attributes) -> Any:
    if hosted(x[0]):
        return ints(x[0])
    axes, value = ints(x[1]), x[0]
    rank = value.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        value = value.unsqueeze(axis)
    return value


@op("Squeeze")
def _squeeze(x: Sequence[Any], _: Attributes) -> Any:
    if hosted(x[0]):
        return ints(x[0])[0]
    axes = ints(x[1]) if len(x) > 1 else [k for k, n in enumerate(x[0].shape) if _is_one(n)]
    return x[0].squeeze(tuple(axes))


@op("Flatten")
def _flatten(x: Sequence[Any], a: Attributes) -> Any:
    axis = a.get("axis", 1)
    return x[0].flatten(axis) if axis == 1 else x[0].flatten(0, axis - 1).flatten(1)


@op("Transpose")
def _transpose(x: Sequence[Any], a: Attributes) -> Any:
    return x[0].permute(a.get("perm", list(range(x[0].ndim))[::-1]))


@op("Gather")
def _gather(x: Sequence[Any], a: Attributes) -> Any:
    value, where, axis = x[0], x[1], a.get("axis", 0)
    if hosted(value):
        listed = ints(value)
        return listed[where] if isinstance(where, int) else [listed[i] for i in ints(where)]
    if isinstance(where, int):
        return value.select(axis, where)
    index = tensor(where, value)
    picked = value.index_select(axis, index.flatten() % value.shape[axis])
    return picked.reshape(*value.shape[:axis], *index.shape, *value.shape[axis + 1 :])


@op("Slice")
def _slice(x: Sequence[Any], _: Attributes) -> Any:
    starts, ends = ints(x[1]), ints(x[2])
    axes = ints(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    steps = ints(x[4]) if len(x) > 4 else [1] * len(starts)
    value = x[0]
    if hosted(value):
        return ints(value)[starts[0] : ends[0] : steps[0]]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == -1:  # a whole flip is what exports use it for
            value = value.flip(axis)
        else:
            value = value[(slice(None),) * (axis % value.ndim) + (slice(start, end, step),)]
    return value


@op("ConstantOfShape")
def _constant_of_shape(x: Sequence[Any], a: Attributes) -> Any:
    value = a.get("value")
    kind = TYPES[1] if value is None else value.dtype
    return torch.full(ints(x[0]), 0 if value is None else value.item(), dtype=kind)


@op("ScatterElements")
def _scatter(x: Sequence[Any], a: Attributes) -> Any:
    axis = a.get("axis", 0)
    like = x[2]
    return torch.scatter(x[0].to(like.device), axis, tensor(x[1], like).to(like.device), like)


@op("CumSum")
def _cumulative(x: Sequence[Any], a: Attributes) -> Any:
    axis = ints(x[1])[0]
    value = x[0].flip(axis) if a.get("reverse", 0) else x[0]
    total = value.cumsum(axis)
    if a.get("exclusive", 0):
        total = total - value
    return total.flip(axis) if a.get("reverse", 0) else total


def _reduction(run: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Any]:
    def reduce(x: Sequence[Any], a: Attributes) -> Any:
        axes = ints(x[1]) if len(x) > 1 and x[1] is not None else list(a.get("axes", []))
        if not axes:
            if a.get("noop_with_empty_axes", 0):
                return x[0]
            axes = list(range(x[0].ndim))
        return run(x[0], axes, bool(a.get("keepdims", 1)))

    return reduce


def _product(value: Tensor, axes: list[int], keep: bool) -> Tensor:  # noqa: FBT001 - as torch's
    for axis in sorted((a % value.ndim for a in axes), reverse=True):
        value = value.prod(axis, keepdim=keep)
    return value


OPS["ReduceMean"] = _reduction(lambda v, axes, keep: v.mean(axes, keepdim=keep))
OPS["ReduceSum"] = _reduction(lambda v, axes, keep: v.sum(axes, keepdim=keep))
OPS["ReduceProd"] = _reduction(_product)
OPS["ReduceMax"] = _reduction(lambda v, axes, keep: v.amax(axes, keepdim=keep))
OPS["ReduceMin"] = _reduction(lambda v, axes, keep: v.amin(axes, keepdim=keep))


def _is_zero(n: Any) -> bool:
    return isinstance(n, int) and n == 0


def _is_one(n: Any) -> bool:
    """A symbolic size is never taken for 1: the batch stays free."""
    return isinstance(n, int) and n == 1
