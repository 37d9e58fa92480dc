"""Whether an ONNX file keeps weights in files beside it; read without the package ``onnx``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Field numbers of onnx.proto3 (IR version 3 and later) that lead to tensors."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Field = tuple[int, int, int | memoryview]


def has_external_data(graph: Path) -> bool:
    """Whether a tensor of the graph, or of a graph inside it, lies in another file.

    A file that is no protobuf holds none: the runtime refuses it.
    """
    waiting = [("model", memoryview(graph.read_bytes()))]
    try:
        while waiting:
            kind, data = waiting.pop()
            parts = _PARTS[kind]
            for number, wire, value in _fields(data):
                if kind == "tensor" and _is_external(number, value):
                    return True
                if wire == _BYTES and isinstance(value, memoryview) and number in parts:
                    waiting.append((parts[number], value))
    except (IndexError, ValueError):
        return False
    return False


def _is_external(number: int, value: int | memoryview) -> bool:
    return number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)


def _fields(data: memoryview) -> Iterator[_Field]:
    """(number, wire type, value) of every field of a message."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: int | memoryview = 0
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        if at > end:
            raise ValueError("a field is longer than its message")
        yield number, wire, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
