"""Stored images that engines are calibrated on and gated with: generated, from seeds.

Seeds are shipped, not images: ``ra-daemon models build`` lets the generator render them, prepares
them as the bundle says, and keeps the arrays of the gate in the cache.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.errors import EngineFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A draw of generated radiographs: ``n`` subjects, one image each."""

    seed: int
    n: int
    prior: str = "flat"
    size: int = 640


CALIBRATION = Draw(seed=20_263, n=300)
GATE = Draw(seed=20_264, n=32)
"""Other subjects than those of the calibration; neither was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Prepared arrays of one bundle.

    Attributes:
        gate: (n, 1, rows, columns) float32, never used to calibrate.
        calibration: (n, 1, rows, columns) float32, or None when INT8 is not asked for.
        calibration_digest: sha256 over the calibration arrays; kept when they are not.
        evidence: a heatmap whose largest absolute value lies below has nothing to compare.
    """

    gate: NDArray[np.float32]
    calibration: NDArray[np.float32] | None = None
    calibration_digest: str = ""
    evidence: float = 0.0


_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError),  # not there in part; not what numpy writes
    *(zipfile.BadZipFile, zlib.error),  # cut, or another byte somewhere
    *(NotImplementedError, RuntimeError),  # a bit that asks for a password or another compression
)
"""What reading a damaged archive raises: found by cutting one everywhere and flipping every bit."""


def digest_of(arrays: NDArray[np.float32]) -> str:
    """sha256 over shape and values."""
    found = hashlib.sha256(repr(arrays.shape).encode())
    found.update(np.ascontiguousarray(arrays).tobytes())
    return found.hexdigest()


def save_samples(path: Path, samples: Samples) -> None:
    """Keep everything but the calibration arrays; written beside, synced and renamed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".samples-", suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(
                stream,
                gate=samples.gate,
                calibration_digest=np.array(samples.calibration_digest),
                evidence=np.array(samples.evidence),
            )
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def load_samples(path: Path) -> Samples:
    """Read what ``save_samples`` kept.

    Raises:
        EngineFileError: there is none, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return Samples(
                gate=held["gate"],
                calibration_digest=str(held["calibration_digest"]),
                evidence=float(held["evidence"]),
            )
    except FileNotFoundError as error:
        raise EngineFileError(
            "No engine was built for this bundle yet.", hint="Run ra-daemon models build."
        ) from error
    except _DAMAGED as error:
        raise EngineFileError(f"{path.name} is damaged: {type(error).__name__}.") from error
