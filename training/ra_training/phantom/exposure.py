"""What a rendered radiograph is: stored pixels and every truth about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ra_training.phantom.grades import HandGrades

Box = tuple[float, float, float, float]
Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandTruth:
    """Truth of one hand in pixel coordinates of its image (x right, y down).

    Attributes:
        landmarks: (21, 2) float32: wrist, then for each digit from the thumb: metacarpal base,
            MCP, PIP (thumb: IP), fingertip.
        box: x0, y0, x1, y1 of the hand with about 30 mm of forearm.
        joint_boxes: site id -> box.
        damage_mask: (rows, columns) bool, the boxes' discs of joints with a grade above 0.
    """

    side: Side
    grades: HandGrades
    landmarks: NDArray[np.float32]
    box: Box
    joint_boxes: Mapping[str, Box]
    damage_mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One generated radiograph.

    Attributes:
        pixels: (rows, columns) uint16 stored values, 0 .. 2**bits - 1.
        photometric: MONOCHROME2 (bone high) or MONOCHROME1 (bone low).
        window: (centre, width) in stored values.
        laterality: "L", "R", or "B" for both hands; "U" when there is no hand.
        age: years, None for an adult of no stated age.
    """

    pixels: NDArray[np.uint16]
    bits: int
    photometric: str
    spacing_mm: float
    window: tuple[float, float]
    hands: tuple[HandTruth, ...]
    laterality: str
    female: bool = False
    age: float | None = None

    def display(self) -> NDArray[np.float32]:
        """(rows, columns) float32 in [0, 1], bone bright."""
        top = np.float32(2**self.bits - 1)
        shown = self.pixels.astype(np.float32) / top
        return shown if self.photometric == "MONOCHROME2" else 1 - shown
