"""Convolution, pooling, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as fn
from torch import Tensor

from ra_engine.backends.graph.ops import Attributes, ints, op
from ra_engine.errors import BackendError


def _padded(x: Tensor, a: Attributes, value: float = 0.0) -> tuple[Tensor, tuple[int, ...]]:
    """The input and the symmetric padding that is left for the operator to do."""
    if a.get("auto_pad", "NOTSET") not in {"NOTSET", "VALID", ""}:
        raise BackendError(f"auto_pad {a['auto_pad']} is not supported by the torch backends.")
    rank = x.ndim - 2
    pads = list(a.get("pads", [0] * 2 * rank))
    begin, end = pads[:rank], pads[rank:]
    if begin == end:
        return x, tuple(begin)
    flat = [n for pair in reversed(list(zip(begin, end, strict=True))) for n in pair]
    return fn.pad(x, flat, value=value), (0,) * rank


@op("Conv")
def _conv(x: Sequence[Any], a: Attributes) -> Any:
    value, padding = _padded(x[0], a)
    rank = value.ndim - 2
    run = {1: fn.conv1d, 2: fn.conv2d, 3: fn.conv3d}[rank]
    return run(
        value,
        x[1],
        x[2] if len(x) > 2 else None,
        stride=tuple(a.get("strides", [1] * rank)),
        padding=padding,
        dilation=tuple(a.get("dilations", [1] * rank)),
        groups=a.get("group", 1),
    )


@op("MaxPool")
def _max_pool(x: Sequence[Any], a: Attributes) -> Any:
    value, padding = _padded(x[0], a, float("-inf"))
    return fn.max_pool2d(
        value,
        a["kernel_shape"],
        stride=a.get("strides", [1, 1]),
        padding=padding,
        dilation=a.get("dilations", [1, 1]),
        ceil_mode=bool(a.get("ceil_mode", 0)),
    )


@op("AveragePool")
def _average_pool(x: Sequence[Any], a: Attributes) -> Any:
    value, padding = _padded(x[0], a)
    return fn.avg_pool2d(
        value,
        a["kernel_shape"],
        stride=a.get("strides", [1, 1]),
        padding=padding,
        ceil_mode=bool(a.get("ceil_mode", 0)),
        count_include_pad=bool(a.get("count_include_pad", 0)),
    )


@op("GlobalAveragePool")
def _global_average(x: Sequence[Any], _: Attributes) -> Any:
    return x[0].mean((2, 3), keepdim=True)


@op("GlobalMaxPool")
def _global_max(x: Sequence[Any], _: Attributes) -> Any:
    return x[0].amax((2, 3), keepdim=True)


@op("Resize")
def _resize(x: Sequence[Any], a: Attributes) -> Any:
    mode, where = a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel")
    scales = x[2] if len(x) > 2 else None
    if scales is not None and scales.numel():
        factors = [float(v) for v in scales.tolist()][2:]
        size = [int(n * f) for n, f in zip(x[0].shape[2:], factors, strict=True)]
    else:
        size = ints(x[3])[2:]
    if mode == "nearest" and where == "asymmetric":
        return fn.interpolate(x[0], size=size, mode="nearest")
    if mode == "linear" and where in {"half_pixel", "pytorch_half_pixel", "align_corners"}:
        return fn.interpolate(
            x[0], size=size, mode="bilinear", align_corners=where == "align_corners"
        )
    raise BackendError(f"Resize {mode} with {where} is not supported by the torch backends.")
