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
