"""Damage bands: zero is a band of its own; edges are the bands' upper limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EDGES_HAND = (0.0, 3.0, 8.0, 16.0, 32.0, 60.0)
EDGES_BOTH = (0.0, 6.0, 16.0, 32.0, 64.0, 120.0)
BANDS = len(EDGES_HAND) + 1


def band(totals: NDArray[np.float32], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """1-based band of every total: the number of edges below it, plus one."""
    return np.searchsorted(np.asarray(edges), totals, side="left").astype(np.int64) + 1
