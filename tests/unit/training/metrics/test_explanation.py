"""Energy share and pointing game."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.metrics.explanation import energy_share, explain, pointing_hit


def _mask() -> np.ndarray:
    mask = np.zeros((10, 10), bool)
    mask[2:4, 2:7] = True
    return mask


def test_an_even_map_gets_the_share_of_the_area() -> None:
    found = explain(np.ones((3, 10, 10)), np.stack([_mask()] * 3))
    assert found.energy == pytest.approx(found.area) == pytest.approx(0.1)
    assert found.gain == pytest.approx(1)


def test_negative_evidence_does_not_count() -> None:
    cam = np.where(_mask(), 2.0, -5.0)
    assert energy_share(cam, _mask()) == 1


def test_pointing() -> None:
    cam = np.zeros((10, 10))
    cam[4, 4] = 1
    assert not pointing_hit(cam, _mask())
    assert pointing_hit(cam, _mask(), tolerance=1)
    cam[3, 3] = 2
    assert pointing_hit(cam, _mask())


def test_energy_and_pointing_against_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    draw = np.random.default_rng(4)
    cams = draw.normal(0, 1, (40, 10, 10))
    masks = draw.random((40, 10, 10)) < 0.3
    shares, hits, near = [], [], []
    for cam, mask in zip(cams, masks, strict=True):
        positive = np.clip(cam, 0, None)
        shares.append(ndimage.sum_labels(positive, mask, 1) / ndimage.sum_labels(positive))
        place = ndimage.maximum_position(cam)
        hits.append(bool(mask[place]))
        near.append(bool(ndimage.binary_dilation(mask, np.ones((3, 3)))[place]))
    assert [energy_share(c, m) for c, m in zip(cams, masks, strict=True)] == pytest.approx(shares)
    assert [pointing_hit(c, m) for c, m in zip(cams, masks, strict=True)] == hits
    found = [pointing_hit(c, m, tolerance=1) for c, m in zip(cams, masks, strict=True)]
    assert found == near
    assert 0 < sum(hits) < sum(near) <= 40
    whole = explain(cams, masks)
    assert (whole.energy, whole.hits) == pytest.approx((np.mean(shares), np.mean(hits)))
    assert whole.area == pytest.approx(ndimage.mean(masks))


def test_sound_images_and_empty_maps_are_left_out() -> None:
    cams = np.stack([np.where(_mask(), 1.0, 0.0), np.ones((10, 10)), -np.ones((10, 10))])
    masks = np.stack([_mask(), np.zeros((10, 10), bool), _mask()])
    found = explain(cams, masks)
    assert found.n == 1
    assert found.energy == found.hits == 1


def test_no_map_gives_no_figure() -> None:
    found = explain(np.zeros((1, 10, 10)), _mask()[None])
    assert found.n == 0
    assert np.isnan(found.energy)
    assert np.isnan(found.gain)


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="truth"):
        explain(np.zeros((1, 5, 5)), _mask()[None])
