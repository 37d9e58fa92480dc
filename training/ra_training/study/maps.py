"""Maps at the size of their image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def enlarge(cam: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(h, w) -> (rows, columns), linear."""
    rows, columns = shape
    big = cv2.resize(cam.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    found: NDArray[np.float64] = big.astype(np.float64)
    return found
