"""Frames around the exposed field are found; nothing else is taken for one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from ra_daemon.dicom import read
from ra_daemon.dicom.border import border
from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph
from ra_training.phantom import KINDS, Exposure, generate, render_nonhand
from tests.support import dicom_sources
from tests.support.frames import framed

SPEC = Preprocessing(kind="letterbox", rows=256, columns=256)


def found(exposure: Exposure, pixels: NDArray[np.uint16]) -> NDArray[np.bool_] | None:
    return border(pixels, inverted=exposure.photometric == "MONOCHROME1")


@pytest.fixture(scope="module")
def exposures() -> list[Exposure]:
    return [s.exposure for s in generate(6, 4711, hands="mixed", prior="clinic")]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.12, 0.25])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_white_frame_is_masked_and_little_else(
    exposures: list[Exposure], share: float, noise: float
) -> None:
    for exposure in exposures:
        pixels = framed(exposure, share, white=True, noise=noise)
        mask = found(exposure, pixels)
        assert mask is not None
        width = round(share * max(exposure.pixels.shape))
        inner = mask[width:-width, width:-width]
        assert int(mask.sum()) - int(inner.sum()) == mask.size - inner.size, "all of the frame"
        assert inner.mean() < 0.05


@pytest.mark.parametrize("white", [True, False])
@pytest.mark.parametrize(
    "sides",
    [
        (True, False, False, False),
        (False, True, False, False),
        (False, False, True, False),
        (False, False, False, True),
        (False, True, True, False),
    ],
)
def test_a_frame_of_some_sides_is_masked_on_those(
    exposures: list[Exposure],
    sides: tuple[bool, bool, bool, bool],
    white: bool,
) -> None:
    for exposure in exposures:
        pixels = framed(exposure, 0.12, white=white, sides=sides)
        mask = found(exposure, pixels)
        if mask is None:  # black beside a plain background shows no step, and does no harm
            assert not white
            continue
        width = round(0.12 * max(exposure.pixels.shape))
        edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
        whole = [bool(e.all()) for e in edges]
        assert all(seen for seen, side in zip(whole, sides, strict=True) if side)
        if white:
            assert whole == list(sides)  # where black counts, so does the exposure's own
        inner = mask[
            width * sides[0] : mask.shape[0] - width * sides[1],
            width * sides[2] : mask.shape[1] - width * sides[3],
        ]
        assert inner.mean() < 0.05


@pytest.mark.parametrize("tilt", [-4.0, 3.0])
def test_a_frame_may_be_tilted(exposures: list[Exposure], tilt: float) -> None:
    for exposure in exposures:
        flat = Exposure(
            pixels=np.ones_like(exposure.pixels), bits=1, photometric="MONOCHROME2", spacing_mm=1.0,
            window=(0.5, 1.0), hands=(), laterality="U",
        )  # fmt: skip
        inside = framed(flat, 0.12, white=False, tilt=tilt) > 0
        mask = found(exposure, framed(exposure, 0.12, white=True, tilt=tilt))
        assert mask is not None
        assert mask.shape == inside.shape
        assert mask[~inside].mean() > 0.98
        assert mask[inside].mean() < 0.05


def test_a_thick_black_frame_counts_and_ordinary_collimation_does_not(
    exposures: list[Exposure],
) -> None:
    masks = [found(e, framed(e, 0.12, white=False)) for e in exposures]
    assert any(m is not None and m[0].all() and m[:, -1].all() for m in masks)
    for exposure in exposures:
        assert found(exposure, exposure.pixels) is None


def test_generated_hands_have_no_frame_and_are_prepared_as_they_were() -> None:
    """Their collimation is black, up to 1/22 of their height: the models were trained with it."""
    before, after = hashlib.sha256(), hashlib.sha256()
    for prior in ("clinic", "flat", "early"):
        for sample in generate(40, 99, hands="mixed", prior=prior):  # type: ignore[arg-type]
            e = sample.exposure
            inverted = e.photometric == "MONOCHROME1"
            plain = Radiograph(pixels=e.pixels, inverted=inverted)
            masked = Radiograph(
                pixels=e.pixels, inverted=inverted, mask=border(e.pixels, inverted=inverted)
            )
            before.update(prepare_image(plain, SPEC)[0].tobytes())
            after.update(prepare_image(masked, SPEC)[0].tobytes())
    assert before.digest() == after.digest()


@pytest.mark.parametrize("kind", KINDS)
def test_other_generated_images_have_no_frame(kind: str) -> None:
    for seed in range(4):
        exposure = render_nonhand(kind, seed)
        assert found(exposure, exposure.pixels) is None


def test_what_is_no_frame_is_left_alone() -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:400, :300].astype(np.float64)
    vignette = 4000 * np.exp(-((x - 150) ** 2 + (y - 200) ** 2) / 200**2)
    images = {
        "noise": random.integers(0, 4096, (400, 300)),
        "flat": np.full((400, 300), 7),
        "two halves": np.where(y < 200, 4095, 0),  # a frame leaves most of the image
        "gradient": y * 10,
        "vignette": vignette,
        "disc": np.where((x - 150) ** 2 + (y - 200) ** 2 < 140**2, 0, 4095) + vignette / 40,
        "a bright corner": np.where(x + y < 120, 4095, 0) + vignette / 8,
        "tiny": np.pad(np.zeros((8, 8)), 2, constant_values=9),
    }
    for name, image in images.items():
        for inverted in (False, True):
            assert border(image.astype(np.uint16), inverted=inverted) is None, name


def test_a_file_with_a_frame_is_decoded_with_its_mask(tmp_path: Path) -> None:
    path = dicom_sources.clean(tmp_path / "a.dcm")
    ds = dcmread(path)
    top = 2**ds.BitsStored - 1
    grey = 0 if ds.PhotometricInterpretation == "MONOCHROME1" else top
    pixels = np.pad(ds.pixel_array, 40, constant_values=grey)
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds.save_as(path)
    decoded = read.decode(path)
    assert isinstance(decoded, Radiograph)
    assert decoded.mask is not None
    assert decoded.field[0] in range(40, 46)
    assert decoded.pixels.shape == pixels.shape, "masked, not cropped: places stay"
    # Padding that the tags tell of is no image either: the frame is sought in what it leaves.
    wider = np.pad(pixels, 25, constant_values=top - grey)
    wider[30, 30] = grey
    ds.Rows, ds.Columns = wider.shape
    ds.PixelData = wider.astype("<u2").tobytes()
    ds.add_new("PixelPaddingValue", "US", top - grey)
    ds.save_as(path)
    decoded = read.decode(path)
    assert isinstance(decoded, Radiograph)
    assert decoded.field[0] in range(65, 71)
