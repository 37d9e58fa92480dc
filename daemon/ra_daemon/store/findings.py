"""``Scored`` to JSON and back, heatmap arrays to npz and back: a report must survive a crash."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_daemon.domain import Scored
from ra_engine.types import (
    Category,
    Finding,
    HandView,
    Heatmap,
    Interval,
    Measurement,
    ModelRef,
    QualityFlag,
    Side,
)

FORMAT = 1
_TYPES: Mapping[str, type[Finding]] = {
    "measurement": Measurement,
    "category": Category,
    "heatmap": Heatmap,
    "quality": QualityFlag,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def dump_scored(scored: Scored) -> str:
    """JSON of everything but the heatmaps' arrays; numbers survive exactly."""
    heatmaps = 0
    findings: list[dict[str, Any]] = []
    for finding in scored.findings:
        fields = _plain(finding)
        if isinstance(finding, Heatmap):
            fields["cam"] = heatmaps
            heatmaps += 1
        findings.append({"type": _NAMES[type(finding)], **fields})
    return json.dumps(
        {
            "format": FORMAT,
            "views": [_plain(view) for view in scored.views],
            "findings": findings,
            "laterality": scored.laterality.value,
            "laterality_source": scored.laterality_source,
            "hands": scored.hands,
            "timings": {k: float(v) for k, v in scored.timings.items()},
        },
        sort_keys=True,
    )


def load_scored(text: str, heatmaps: Sequence[NDArray[np.float32]] = ()) -> Scored:
    """What ``dump_scored`` wrote; heatmap findings only when their arrays are given."""
    data: dict[str, Any] = json.loads(text)
    found = (_finding(fields, heatmaps) for fields in data["findings"])
    return Scored(
        views=tuple(_view(fields) for fields in data["views"]),
        findings=tuple(f for f in found if f is not None),
        laterality=Side(data["laterality"]),
        laterality_source=data["laterality_source"],
        hands=data["hands"],
        timings=data["timings"],
    )


def dump_heatmaps(scored: Scored) -> bytes | None:
    """The heatmaps' (h, w) float32 arrays as npz, in their order; None when there are none."""
    arrays = [f.cam for f in scored.findings if isinstance(f, Heatmap)]
    if not arrays:
        return None
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"cam{i}": np.asarray(a, np.float32) for i, a in enumerate(arrays)}
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()


def load_heatmaps(data: bytes) -> list[NDArray[np.float32]]:
    """The arrays that ``dump_heatmaps`` wrote, read-only.

    Raises:
        ValueError: it wrote something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = [archive[f"cam{i}"] for i in range(len(archive.files))]
    except Exception as error:  # a damaged archive may raise anything, zlib's own errors as well
        raise ValueError(f"No heatmaps: {error}") from error
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _plain(value: Any) -> dict[str, Any]:
    return {f.name: _value(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Side):
        return value.value
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, tuple | list):
        return [_value(v) for v in value]
    return value


def _view(fields: dict[str, Any]) -> HandView:
    landmarks = np.asarray(fields["landmarks"], np.float32).reshape(-1, 2)
    landmarks.flags.writeable = False
    to_image = fields["to_image"]
    rest = {k: v for k, v in fields.items() if k not in ("landmarks", "to_image", "side")}
    return HandView(
        **rest, side=Side(fields["side"]), to_image=tuple(to_image), landmarks=landmarks
    )


def _finding(fields: dict[str, Any], heatmaps: Sequence[NDArray[np.float32]]) -> Finding | None:
    fields = dict(fields)
    kind = _TYPES[fields.pop("type")]
    if kind is Heatmap:
        number = fields["cam"]
        if number >= len(heatmaps):
            return None
        fields["cam"] = heatmaps[number]
    if fields.get("model") is not None:
        fields["model"] = ModelRef(**fields["model"])
    if "side" in fields:
        fields["side"] = Side(fields["side"])
    if fields.get("interval") is not None:
        fields["interval"] = Interval(**fields["interval"])
    for name in ("code", "edges", "probabilities", "to_image"):
        if isinstance(fields.get(name), list):  # a quality flag's code is text
            fields[name] = tuple(fields[name])
    return kind(**fields)
