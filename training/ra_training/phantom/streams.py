"""Independent random streams, one for each purpose: a draw in one never shifts another."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator for one purpose of one seed, the same in every process.

    Args:
        seed: non-negative.
        purpose: words and non-negative numbers that name the purpose.
    """
    keys = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in purpose]
    return np.random.default_rng(np.random.SeedSequence([seed, *keys]))
