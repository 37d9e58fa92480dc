"""Grey values: no step is lost, and bone is bright whichever way the header says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from ra_daemon.dicom import read
from ra_daemon.errors import UnreadableError
from ra_engine.types import Radiograph
from tests.support import dicom_sources
from tests.support.peers import require_tool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return dicom_sources.clean(tmp_path / "a.dcm", hands="left")


def decoded(path: Path, ds: Dataset) -> Radiograph:
    ds.save_as(path)
    found = read.decode(path)
    assert isinstance(found, Radiograph)
    return found


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [("0.001", "0"), ("0.001", "-1.25"), ("0.37", "12"), ("1.5", "0"), ("1", "0.5"), ("1e-7", "0")],
)
def test_a_rescale_that_makes_fractions_keeps_every_step(
    path: Path, slope: str, intercept: str
) -> None:
    ds = dcmread(path)
    stored = ds.pixel_array
    steps = len(np.unique(stored))
    ds.WindowCenter, ds.WindowWidth = 2000 * float(slope) + float(intercept), 1000 * float(slope)
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    if float(slope) < 1e-3:
        del ds.WindowCenter, ds.WindowWidth  # a window below one grey value is none
    found = decoded(path, ds)
    assert len(np.unique(found.pixels)) == steps
    assert np.corrcoef(found.pixels.ravel(), stored.ravel())[0, 1] > 0.999999
    if found.window is not None:  # it moves with the values
        low = found.window[0] - found.window[1] / 2
        assert (found.pixels < low).mean() == pytest.approx((stored < 1500).mean(), abs=0.002)


@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("1", "-1024"), ("4", "100")])
def test_whole_numbers_stay_as_they_are(path: Path, slope: str, intercept: str) -> None:
    ds = dcmread(path)
    stored = ds.pixel_array.astype(np.int64)
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    found = decoded(path, ds).pixels.astype(np.int64)
    expected = stored * int(slope) + int(intercept)
    assert np.array_equal(found, expected - min(0, int(expected.min())))


def test_more_than_16_bits_of_range_take_their_window_along(path: Path) -> None:
    ds = dcmread(path)
    stored = ds.pixel_array
    ds.RescaleSlope, ds.RescaleIntercept = "100", "0"
    ds.WindowCenter, ds.WindowWidth = 200000, 100000
    found = decoded(path, ds)
    assert found.window is not None
    assert int(found.pixels.max()) == 65535
    low = found.window[0] - found.window[1] / 2
    assert (found.pixels < low).mean() == pytest.approx((stored < 1500).mean(), abs=0.002)


@pytest.mark.parametrize("slope", ["nan", "1e308"])
def test_a_rescale_without_a_finite_result_is_unreadable(path: Path, slope: str) -> None:
    ds = dcmread(path)
    dicom_sources.with_value("RescaleSlope", slope)(ds)
    ds.save_as(path)
    with pytest.raises(UnreadableError, match="finite"):
        read.decode(path)


SHAPES = [None, "", "IDENTITY", "INVERSE", "OTHER"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_stated_shape_decides_and_an_empty_one_says_nothing(
    path: Path, photometric: str, shape: str | None
) -> None:
    ds = polarised(path, photometric, shape)
    expected = {"IDENTITY": False, "INVERSE": True}.get(shape or "", photometric == "MONOCHROME1")
    assert decoded(path, ds).inverted is expected


@pytest.mark.peer
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dcmtk_shows_it_the_same_way_round(
    path: Path, photometric: str, shape: str | None, tmp_path: Path
) -> None:
    ds = polarised(path, photometric, shape)
    found = decoded(path, ds)
    shown = tmp_path / "a.pgm"
    tool = require_tool("dcm2pnm", "dcmtk")
    subprocess.run([tool, "+op", path, shown], check=True, capture_output=True)
    grey = np.asarray(Image.open(shown)).astype(float)
    sign = np.corrcoef(grey.ravel(), found.pixels.ravel())[0, 1]
    assert bool(sign < 0) is found.inverted


def polarised(path: Path, photometric: str, shape: str | None) -> Dataset:
    ds = dcmread(path)
    ds.PhotometricInterpretation = photometric
    del ds.PresentationLUTShape
    if shape is not None:
        ds.PresentationLUTShape = shape
    return ds
