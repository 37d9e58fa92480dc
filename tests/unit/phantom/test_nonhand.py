"""Images that are no hand."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.phantom import KINDS, render_nonhand

WANTED = {
    "foot", "wrist", "empty", "long_bone", "knee", "chest", "skull", "pelvis", "blobs", "fingers",
    "elbow",
}  # fmt: skip


def test_every_kind_is_there() -> None:
    assert set(KINDS) >= WANTED


@pytest.mark.parametrize("kind", KINDS)
def test_kind_renders_the_same_twice_and_varies(kind: str) -> None:
    one, again, other = (render_nonhand(kind, s, height=160) for s in (1, 1, 2))
    assert one.hands == ()
    assert one.laterality == "U"
    assert np.array_equal(one.pixels, again.pixels)
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)
    assert one.pixels.max() < 2**one.bits


def test_unknown_kind() -> None:
    with pytest.raises(KeyError):
        render_nonhand("tail", 1)
