"""Display shutter and collimator of the header become the mask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from ra_daemon.dicom import read
from ra_daemon.dicom.shutter import _DRAWN, shuttered
from ra_engine.types import Radiograph
from tests.support import dicom_sources

SHAPE = (60, 80)
RECTANGLE = {
    "LeftVerticalEdge": 11, "RightVerticalEdge": 70, "UpperHorizontalEdge": 6,
    "LowerHorizontalEdge": 50,
}  # fmt: skip


def tags(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a rectangle, as one of the two modules names them."""
    return {f"{kind}{name}": value for name, value in given.items()}


def mask_of(header: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    def values(keyword: str) -> list[Any]:
        value = header.get(keyword, [])
        return value if isinstance(value, list) else [value]

    return shuttered(SHAPE, values, lambda keyword: [float(v) for v in values(keyword)])


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_a_rectangle_counts_from_one_and_keeps_its_edges(kind: str) -> None:
    mask = mask_of({f"{kind}Shape": "RECTANGULAR", **tags(kind, RECTANGLE)})
    assert mask is not None
    inside = ~mask
    assert inside[5:50, 10:70].all()
    assert int(inside.sum()) == 45 * 60


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_a_circle_has_its_centre_as_row_and_column(kind: str) -> None:
    mask = mask_of(
        {
            f"{kind}Shape": "CIRCULAR",
            f"CenterOfCircular{kind}": [21, 41],
            f"RadiusOfCircular{kind}": 15,
        }
    )
    assert mask is not None
    ys, xs = np.nonzero(~mask)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (5, 35, 25, 55)
    assert (~mask).sum() == pytest.approx(np.pi * 15**2, rel=0.02)


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_a_polygon_has_its_vertices_as_row_and_column(kind: str) -> None:
    vertices = [1, 41, 60, 1, 60, 80]  # a triangle: top middle, bottom left, bottom right
    mask = mask_of({f"{kind}Shape": "POLYGONAL", f"VerticesOfThePolygonal{kind}": vertices})
    assert mask is not None
    assert not mask[0, 40]
    assert not mask[59].any()
    assert mask[0, :38].all()
    assert mask[0, 43:].all()
    assert (~mask).mean() == pytest.approx(0.5, abs=0.03)


def test_several_shapes_leave_what_lies_in_all_of_them() -> None:
    mask = mask_of(
        {
            "ShutterShape": ["RECTANGULAR", "CIRCULAR"],
            **tags("Shutter", RECTANGLE),
            "CenterOfCircularShutter": [28, 40],
            "RadiusOfCircularShutter": 30,
            "CollimatorShape": "RECTANGULAR",
            **tags("Collimator", {**RECTANGLE, "LeftVerticalEdge": 31}),
        }
    )
    assert mask is not None
    assert mask[:, :30].all()
    assert mask[:5].all()
    assert not mask[28, 40]
    assert mask[5, 69]


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"ShutterShape": "RECTANGULAR"},
        {"ShutterShape": "OVAL", **tags("Shutter", RECTANGLE)},
        {"ShutterShape": "RECTANGULAR", **tags("Shutter", dict.fromkeys(RECTANGLE, 0))},
        {"ShutterShape": "RECTANGULAR", **tags("Shutter", {**RECTANGLE, "LeftVerticalEdge": 75})},
        {
            "ShutterShape": "RECTANGULAR",
            **tags("Shutter", {**RECTANGLE, "LeftVerticalEdge": float("nan")}),
        },
        {
            "ShutterShape": "RECTANGULAR",  # edges at or beyond the image's
            **tags(
                "Shutter",
                {
                    "LeftVerticalEdge": -4, "RightVerticalEdge": 81, "UpperHorizontalEdge": 1,
                    "LowerHorizontalEdge": 60,
                },
            ),
        },
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [5], "RadiusOfCircularShutter": 3},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [5, 5]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 2, 3, 4]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 2, 3, 4, 1e12, 6]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 2, 3, 4, 65536, 6]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [5, 5, 9, 9, 5, 9] * 2000},
        {
            "ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [30, 40],
            "RadiusOfCircularShutter": -9,
        },
    ],
)  # fmt: skip
def test_a_shape_that_says_nothing_or_leaves_nothing_is_none(header: dict[str, Any]) -> None:
    assert mask_of(header) is None


def test_a_files_shutter_and_padding_are_its_mask(tmp_path: Path) -> None:
    path = dicom_sources.clean(tmp_path / "a.dcm")
    ds = dcmread(path)
    ds.ShutterShape = "RECTANGULAR"
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 31, 480
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 21, 390
    ds.save_as(path)
    decoded = read.decode(path)
    assert isinstance(decoded, Radiograph)
    assert decoded.field == (30, 20, 450, 370)
    values = ds.pixel_array.copy()
    values[:, 200:204] = 4095
    values[values == 77] = 78
    values[:, 460:] = 77
    ds.PixelData = values.astype("<u2").tobytes()
    ds.add_new("PixelPaddingValue", "US", 77)
    ds.save_as(path)
    decoded = read.decode(path)
    assert isinstance(decoded, Radiograph)
    assert decoded.mask is not None
    assert decoded.mask[:, 460:].all()
    assert decoded.mask[:, :30].all()
    assert decoded.field == (30, 20, 430, 370)
    ds.ShutterShape = "\\".join(["RECTANGULAR", "CIRCULAR"])
    ds.CenterOfCircularShutter = [7]  # half of it: a dirty header is no reason to fail
    ds.save_as(path)
    assert isinstance(read.decode(path), Radiograph)


def test_a_shape_that_is_named_many_times_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setitem(_DRAWN, "CIRCULAR", lambda _shape, kind, _numbers: drawn.append(kind))
    shuttered((60, 80), lambda keyword: ["CIRCULAR", " circular"] * 9, lambda _keyword: [])
    assert drawn == ["Shutter", "Collimator"]
