"""Bone without strands, to measure shapes."""

from __future__ import annotations

import numpy as np

from ra_training.phantom.grain import Grain


def smooth(px: float) -> Grain:
    """A grain that changes nothing, at ``px`` mm a pixel."""
    return Grain(tile=np.ones((8, 8), np.float32), px=px)
