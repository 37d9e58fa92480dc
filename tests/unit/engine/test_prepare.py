"""The one preprocessing: tones, geometry, padding; the same for both polarities."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.prepare import (
    Preprocessing,
    _histogram,
    prepare_hand,
    prepare_image,
    tone_range,
    whole_image,
)
from ra_engine.testing import sample_landmarks
from ra_engine.types import Radiograph
from ra_engine.views import apply, hand_view, invert

BOX = Preprocessing(kind="letterbox", rows=64, columns=64, percentiles=(0, 100), mean=0, std=1)
VIEW = Preprocessing(kind="hand_view", rows=128, columns=96, percentiles=(0, 100), mean=0, std=1)


def blob(shape: tuple[int, int], x: float, y: float, radius: float) -> NDArray[np.uint16]:
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    bump = np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / radius**2)
    return np.round(100 + 3900 * bump).astype(np.uint16)


def peak(tensor: NDArray[np.float32]) -> tuple[float, float]:
    """Centre of mass of the brightest part: (x, y) in tensor pixels."""
    weight = np.clip(tensor[0] - 0.5, 0, None)
    ys, xs = np.mgrid[: tensor.shape[1], : tensor.shape[2]]
    return float((weight * xs).sum() / weight.sum()), float((weight * ys).sum() / weight.sum())


def test_percentiles_are_grey_values_that_occur() -> None:
    pixels = np.repeat(np.array([10, 20, 30, 40], np.uint16), 25).reshape(10, 10)
    assert tone_range(Radiograph(pixels=pixels), (1, 99)) == (10, 40)
    assert tone_range(Radiograph(pixels=pixels), (25, 50)) == (10, 20)
    assert tone_range(Radiograph(pixels=pixels), (26, 51)) == (20, 30)


def test_masked_pixels_do_not_count() -> None:
    pixels = np.full((10, 10), 500, np.uint16)
    pixels[0], pixels[1] = 60000, 400
    mask = np.zeros_like(pixels, np.bool_)
    mask[0] = True
    assert tone_range(Radiograph(pixels=pixels, mask=mask), (0, 100)) == (400, 500)
    mask[:] = True
    assert tone_range(Radiograph(pixels=pixels, mask=mask), (0, 100)) == (0, 1)


def test_a_flat_image_does_not_divide_by_nought() -> None:
    flat = Radiograph(pixels=np.full((50, 40), 7, np.uint16))
    assert np.isfinite(prepare_image(flat, BOX)[0]).all()


@pytest.mark.parametrize("shape", [(60, 50), (500, 380), (380, 500), (97, 1200)])
def test_inversion_gives_the_same_tensor(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 4096, shape, dtype=np.uint16)
    spec = Preprocessing(kind="letterbox", rows=64, columns=64)
    plain, _ = prepare_image(Radiograph(pixels=pixels), spec)
    turned, _ = prepare_image(Radiograph(pixels=4095 - pixels, inverted=True), spec)
    # Rounding of the integer reduction differs by one grey value of 4096 at most.
    assert np.abs(plain - turned).max() < 2 / 4000 / spec.std


@pytest.mark.parametrize("factor", [0.5, 1, 3, 8])
def test_letterbox_keeps_places_at_every_scale(factor: float) -> None:
    shape = (round(64 * factor), round(48 * factor))
    x, y = 0.6 * shape[1], 0.3 * shape[0]
    tensor, to_image = prepare_image(
        Radiograph(pixels=blob(shape, x, y, max(1.5, 3 * factor))), BOX
    )
    assert tensor.shape == (1, 64, 64)
    assert tensor.dtype == np.float32
    px, py = peak(tensor)
    unit = np.array([[(px + 0.5) / 64, (py + 0.5) / 64]], np.float32)
    assert apply(to_image, unit)[0] == pytest.approx((x, y), abs=0.35 * max(factor, 1))


def test_padding_is_background_in_both_polarities() -> None:
    pixels = np.full((64, 20), 1000, np.uint16)
    pixels[:5] = 100
    tensor, _ = prepare_image(Radiograph(pixels=pixels), BOX)
    assert (tensor[0, :, 0] == 0).all()
    tensor, _ = prepare_image(Radiograph(pixels=pixels, inverted=True), BOX)
    assert (tensor[0, :, 0] == 0).all()


def test_masked_area_is_background() -> None:
    pixels = np.full((64, 64), 1000, np.uint16)
    pixels[40:] = 100
    mask = np.zeros_like(pixels, np.bool_)
    mask[10:20] = True
    pixels[10:20] = 65535
    tensor, _ = prepare_image(Radiograph(pixels=pixels, mask=mask), BOX)
    assert (tensor[0, 11:19] == 0).all()
    assert (tensor[0, 22:38] == 1).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("span", [40.0, 120.0, 600.0])
def test_a_hand_comes_out_canonical(span: float, mirrored: bool) -> None:
    """A bright tip of the thumb lands where the view's frame says, mirrored or not."""
    shape = (round(span * 3), round(span * 3))
    points = sample_landmarks(span * 1.5, span * 2.6, span)
    if mirrored:
        points[:, 0] = shape[1] - 1 - points[:, 0]
    view = hand_view(points)
    assert view.mirrored is mirrored
    tip = points[4]
    radiograph = Radiograph(pixels=blob(shape, float(tip[0]), float(tip[1]), span / 20))
    px, py = peak(prepare_hand(radiograph, view, VIEW))
    want = apply(invert(view.to_image), points[4:5])[0]
    assert ((px + 0.5) / 96, (py + 0.5) / 128) == pytest.approx(tuple(want), abs=0.01)
    assert px > 48  # the thumb points right


def test_the_digest_names_every_field() -> None:
    assert VIEW.digest != BOX.digest
    other = Preprocessing(
        kind="hand_view", rows=128, columns=96, percentiles=(0, 99), mean=0, std=1
    )
    assert other.digest != VIEW.digest
    assert len(VIEW.digest) == 64


def test_the_input_is_not_touched() -> None:
    pixels = np.random.default_rng(2).integers(0, 4096, (300, 300), dtype=np.uint16)
    mask = pixels > 4000
    pixels.flags.writeable = mask.flags.writeable = False
    radiograph = Radiograph(pixels=pixels, mask=mask)
    first = prepare_hand(radiograph, hand_view(sample_landmarks(150, 280, 100)), VIEW)
    again = prepare_hand(radiograph, hand_view(sample_landmarks(150, 280, 100)), VIEW)
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("highest", [0, 1, 255, 4095, 65535])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (480, 333)])
def test_the_histogram_equals_bincount(highest: int, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(highest).integers(0, highest + 1, shape).astype(np.uint16)
    counts = _histogram(values)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, np.bincount(values.ravel()))


TALL = Preprocessing(kind="letterbox", rows=96, columns=64)


@pytest.mark.parametrize("spec", [BOX, TALL])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_turned_letterbox_is_that_of_the_turned_image(spec: Preprocessing, turn: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 4000, (123, 80), dtype=np.uint16)
    tensor, to_image = prepare_image(Radiograph(pixels=pixels), spec, turn=turn)
    turned = Radiograph(pixels=np.ascontiguousarray(np.rot90(pixels, turn)))
    assert np.abs(tensor - prepare_image(turned, spec)[0]).max() < 1e-5
    assert whole_image(Radiograph(pixels=pixels), spec, turn=turn) == to_image


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_turned_letterbox_leads_back_to_the_stored_image(turn: int) -> None:
    x, y = 70.0, 30.0
    tensor, to_image = prepare_image(Radiograph(pixels=blob((128, 96), x, y, 4)), BOX, turn=turn)
    px, py = peak(tensor)
    unit = np.array([[(px + 0.5) / 64, (py + 0.5) / 64]], np.float32)
    assert apply(to_image, unit)[0] == pytest.approx((x, y), abs=0.5)


def test_the_letterbox_lies_around_what_the_mask_leaves() -> None:
    pixels = blob((200, 300), 180, 90, 5)
    mask = np.ones_like(pixels, np.bool_)
    mask[40:140, 130:230] = False
    masked, to_image = prepare_image(Radiograph(pixels=pixels, mask=mask), BOX)
    alone, _ = prepare_image(Radiograph(pixels=pixels[40:140, 130:230].copy()), BOX)
    assert np.array_equal(masked, alone)
    assert to_image == (100, 0, 129.5, 0, 100, 39.5)
    mask[:] = True
    assert prepare_image(Radiograph(pixels=pixels, mask=mask), BOX)[1][0] == 300
