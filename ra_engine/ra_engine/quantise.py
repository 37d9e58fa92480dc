"""INT8 at install time: explicit Q/DQ operators from the FP32 graph and a calibration set.

Two files, since runtimes differ (measured, ``reference/engines.md`` 5.1): ``u8`` with unsigned
asymmetric activations, which ONNX Runtime and OpenVINO fuse into integer kernels, and ``s8`` with
signed symmetric ones and no quantised bias, the only one that TensorRT's parser takes. In both the
weights are signed, one scale a channel, and ranges are percentiles of histograms, never plain
min-max. The first convolution and the head (``ra_engine.recipe``) stay FP32, and as many
convolutions behind the one and before the other as it takes (``LADDER``), in each network of an
ensemble as many as that one needs (``ra_engine.branches``, ``ra_engine.int8``).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ra_engine.branches import Branch, branches, shift
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.recipe import body

QUANTISER = "percentile-4"
"""Raised when the same graph and images would give another file: part of every key."""

LEAST_IMAGES = 300
_PERCENTILE = 99.9999
_CHUNK = 4  # images whose intermediate tensors are held at once
_LARGE = 2**16  # of an image's larger tensors one value in so many goes into the histogram:
_STRIDES = (7, 11)  # the one that does not divide a row, so that all columns are looked at
_OPERATORS = ("Conv", "Add", "MaxPool", "Concat", "Relu", "Clip", "AveragePool", "Resize", "Mul")

Told = Callable[[int, int], None]

Ends = tuple[int, int]
Level = Ends | None
"""What of a branch stays FP32: its ends, or None: all of it."""

LADDER: tuple[Ends, ...] = (
    *((0, 0), (0, 1), (0, 2)),
    *((1, 2), (2, 2), (3, 2), (5, 2)),
    *((5, 4), (7, 4), (11, 4), (11, 8), (15, 8)),
)
"""Numbers of convolutions that may stay FP32 too, behind the first one and before each head, tried
in this order. What stands before a head decides the score and the map and works on small planes;
what stands at the front passes its error on to everything (decision 0021)."""


class Quantiser:
    """The ranges of one graph, measured once; ``write`` makes INT8 files from them."""

    def __init__(
        self,
        source: Path,
        images: NDArray[np.float32],
        *,
        least: int = LEAST_IMAGES,
        told: Told | None = None,
    ) -> None:
        """Calibrate.

        Args:
            images: (n, 1, rows, columns) float32 at the deployed size, n >= ``least``.
            told: called with (images done, images) as the calibration goes on.

        Raises:
            RuntimeMissingError: ``onnx`` is not installed.
            BackendError: too few images, or a graph without convolutions.
        """
        if len(images) < least:
            raise BackendError(f"INT8 is calibrated on {least} images or more, not {len(images)}.")
        self._tools = _tools()
        with tempfile.TemporaryDirectory() as name:
            clean = Path(name) / "clean.onnx"
            self._model = _cleaned(source, clean)
            self._ends = _ends(self._model)
            self.branches = branches(self._model)
            with contextlib.redirect_stdout(io.StringIO()):  # the library prints its progress
                self._ranges = _ranges(clean, Path(name), images, told)
        _rectified(self._model, self._ranges)

    def ladder(self) -> tuple[Level, ...]:
        """Those of ``LADDER`` that leave a convolution in INT8, each another file; where there are
        several branches, one may stay FP32 as a whole.

        Raises:
            BackendError: none does.
        """
        seen = {frozenset(n.name for n in _convolutions(self._model))}
        made: list[Level] = []
        for ends in LADDER:
            kept = frozenset(self._kept(self._excluded([ends])))
            if kept not in seen:
                seen.add(kept)
                made.append(ends)
        if not made:
            raise BackendError("INT8 needs a graph with a convolution between its ends.")
        return (*made, None) if len(self.branches) > 1 else tuple(made)

    def write(
        self,
        target: Path,
        form: Literal["u8", "s8"],
        levels: Sequence[Level] = ((0, 0),),
        moved: Sequence[float] = (),
    ) -> tuple[str, ...]:
        """Write the INT8 file; return the names of the convolutions kept in FP32.

        Args:
            levels: convolutions behind the first one and before each head that stay FP32 too, of
                each branch, or one pair for all.
            moved: constants to be added to the members; empty: none.
        """
        excluded = self._excluded(levels)
        model = type(self._model)()
        model.CopyFrom(self._model)
        added = {shift(model, moved)} if any(moved) else set()
        with contextlib.redirect_stdout(io.StringIO()):
            _write(self._tools, model, self._ranges, sorted(excluded | added), form, target)
        return self._kept(excluded)

    def _excluded(self, levels: Sequence[Level]) -> frozenset[str]:
        each = list(levels) * len(self.branches) if len(levels) == 1 else list(levels)
        found = set(self._ends)
        for branch, level in zip(self.branches, each, strict=True):
            found |= self._ends_of(branch, level)
        return frozenset(found)

    def _ends_of(self, branch: Branch, level: Level) -> frozenset[str]:
        if level is None:
            return branch.nodes
        front, tail = level
        return (_front(self._model, front) | _tail(self._model, self._ends, tail)) & branch.nodes

    def _kept(self, excluded: frozenset[str]) -> tuple[str, ...]:
        return tuple(n.name for n in _convolutions(self._model) if n.name in excluded)


def _tools() -> Any:
    """onnxruntime's quantiser, which needs onnx."""
    try:
        importlib.import_module("onnx")
        importlib.import_module("onnxruntime.quantization.calibrate")
        importlib.import_module("onnxruntime.quantization.qdq_quantizer")
        return importlib.import_module("onnxruntime.quantization")
    except ImportError as error:
        raise RuntimeMissingError(
            f"INT8 needs the package onnx to be made: {error}",
            hint="pip install 'ra-daemon[build]', then ra-daemon models build --precision int8.",
        ) from error


def _cleaned(source: Path, target: Path) -> Any:
    """Constants folded and shapes inferred; every node has a name."""
    shape_inference = importlib.import_module("onnxruntime.quantization.shape_inference")
    shape_inference.quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    onnx = importlib.import_module("onnx")
    model = onnx.load(str(target))
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    onnx.save(model, str(target))
    return model


def _ends(model: Any) -> frozenset[str]:
    """Names of the nodes that always stay FP32: up to the first convolution, and the head.

    Raises:
        BackendError: nothing lies between.
    """
    graph = model.graph
    made = body(graph.node, {w.name: w for w in graph.initializer})
    behind: set[str] = set()  # tensors that some convolution leads to
    ends = set()
    for node in graph.node:
        after = any(i in behind for i in node.input)
        if after or node.op_type == "Conv":
            behind.update(node.output)
        if not after or node.output[0] not in made:
            ends.add(node.name)
    if len(ends) == len(graph.node):
        raise BackendError("INT8 needs a graph with more than one convolution.")
    return frozenset(ends)


def _convolutions(model: Any) -> list[Any]:
    return [n for n in model.graph.node if n.op_type == "Conv"]


def _front(model: Any, depth: int) -> frozenset[str]:
    """Names of the nodes that have the first convolution and at most ``depth`` others, their own
    included, behind them, counted along the longest way."""
    behind: dict[str, int] = {}  # tensor -> convolutions on the longest way from the image
    found = set()
    for node in model.graph.node:
        count = max((behind.get(i, 0) for i in node.input), default=0) + (node.op_type == "Conv")
        if depth and count <= depth + 1:
            found.add(node.name)
        behind.update(dict.fromkeys(node.output, count))
    return frozenset(found)


def _tail(model: Any, ends: frozenset[str], depth: int) -> frozenset[str]:
    """Names of the nodes that have at most ``depth`` convolutions, their own included, between them
    and the head; counted along the longest way, so that a shortcut drags nothing along."""
    ahead: dict[str, int] = {}  # tensor -> convolutions on the longest way to the head
    found = set()
    for node in reversed(model.graph.node):
        if node.name in ends:
            count = 0
        else:
            known = [ahead[o] for o in node.output if o in ahead]
            if not known:
                continue
            count = max(known) + (node.op_type == "Conv")
            if count <= depth and depth:
                found.add(node.name)
        for name in node.input:
            ahead[name] = max(ahead.get(name, 0), count)
    return frozenset(found)


def _ranges(graph: Path, scratch: Path, images: NDArray[np.float32], told: Told | None) -> Any:
    """Ranges of every tensor, by histograms over chunks, so that memory stays bounded."""
    calibrate = importlib.import_module("onnxruntime.quantization.calibrate")
    calibrator = calibrate.create_calibrator(
        graph,
        list(_OPERATORS),
        augmented_model_path=str(scratch / "augmented.onnx"),
        calibrate_method=calibrate.CalibrationMethod.Percentile,
        extra_options={"symmetric": False, "num_bins": 2048, "percentile": _PERCENTILE},
    )
    name = calibrator.infer_session.get_inputs()[0].name
    calibrator.infer_session = _Thinned(calibrator.infer_session)
    for start in range(0, len(images), _CHUNK):
        calibrator.collect_data(_Reader(name, images[start : start + _CHUNK]))
        if told is not None:
            told(min(start + _CHUNK, len(images)), len(images))
    return calibrator.compute_data()


def _rectified(model: Any, ranges: Any) -> None:
    """Give what only a ReLU or a clip reads the range of what comes out of it, in place.

    The library does so for nodes that it quantises, in the ranges that it is handed: the next file
    would depend on the one before. It holds for those that stay FP32 as well.
    """
    readers = Counter(name for node in model.graph.node for name in node.input)
    readers.update(output.name for output in model.graph.output)
    for node in model.graph.node:
        if node.op_type not in ("Relu", "Clip") or readers[node.input[0]] != 1:
            continue
        if node.input[0] in ranges and node.output[0] in ranges:
            ranges[node.input[0]] = ranges[node.output[0]]


class _Thinned:
    """The calibrator's session, with large outputs thinned to a part of them and their extremes.

    Histograms of all values of five networks at 512 x 512 take the better part of an hour and many
    gigabytes; 300 images have enough of them.
    """

    def __init__(self, inner: Any) -> None:
        self.get_inputs, self.get_outputs = inner.get_inputs, inner.get_outputs
        self._run = inner.run

    def run(self, names: list[str] | None, feeds: dict[str, Any]) -> list[NDArray[np.float32]]:
        """As the session's."""
        return [_thinned(array) for array in self._run(names, feeds)]


def _thinned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    if array.size <= _LARGE:
        return array
    stride = next((n for n in _STRIDES if array.shape[-1] % n), 1)
    ends = np.array([array.min(), array.max()], array.dtype)  # ranges are made of the rarest values
    return np.concatenate([array.ravel()[::stride], ends])


class _Reader:
    """Hands images to the calibrator one by one."""

    def __init__(self, name: str, images: NDArray[np.float32]) -> None:
        self._rows: Iterator[NDArray[np.float32]] = iter(images)
        self._name = name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next feed, None at the end."""
        row = next(self._rows, None)
        return None if row is None else {self._name: np.ascontiguousarray(row[None])}


def _write(
    tools: Any, model: Any, ranges: Any, excluded: list[str], form: str, target: Path
) -> None:
    quantizer = importlib.import_module("onnxruntime.quantization.qdq_quantizer").QDQQuantizer
    symmetric = form == "s8"
    made = quantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=tools.QuantType.QInt8,
        activation_qType=tools.QuantType.QInt8 if symmetric else tools.QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=excluded,
        op_types_to_quantize=list(_OPERATORS),
        extra_options={
            "ActivationSymmetric": symmetric,
            "WeightSymmetric": True,
            "QuantizeBias": False,
        },
    )
    made.quantize_model()
    made.model.save_model_to_file(str(target), use_external_data_format=False)
