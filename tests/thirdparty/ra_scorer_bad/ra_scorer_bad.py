"""Scorers that misbehave, each in its own way, for one image only.

The image is the one whose instance id is in ``RA_BAD_TRIGGER``; without that variable it is any
image whose first pixel is 4095. All other images get a flag ``checked`` and no harm.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence

from ra_engine.types import Batch, Finding, Output, QualityFlag, ScoredImage

TRIGGER = "RA_BAD_TRIGGER"
_FOR_EVER_S = 10**6


def hit(image: ScoredImage) -> bool:
    """Whether to misbehave for this image."""
    chosen = os.environ.get(TRIGGER)
    if chosen is not None:
        return image.instance == chosen
    return int(image.radiograph.pixels[0, 0]) == 4095


class _Bad:
    name = ""
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> Sequence[Sequence[Finding]]:
        for image in batch.images:
            if hit(image):
                self.misbehave()
        return [[QualityFlag(code="checked", text=self.name)] for _ in batch.images]

    def misbehave(self) -> None:
        raise NotImplementedError


class Raiser(_Bad):
    """Raises, with something in the message that must never reach a log."""

    name = "raiser"

    def misbehave(self) -> None:
        raise RuntimeError("patient DOE^JANE 1950-01-01")


class Sleeper(_Bad):
    """Sleeps for ever; the interpreter stays free."""

    name = "sleeper"

    def misbehave(self) -> None:
        time.sleep(_FOR_EVER_S)


class NativeHang(_Bad):
    """Hangs inside native code that holds the interpreter's lock: no Python thread can help."""

    name = "native_hang"

    def misbehave(self) -> None:
        ctypes.PyDLL(None).sleep(ctypes.c_uint(_FOR_EVER_S))


class Eater(_Bad):
    """Takes memory until there is none."""

    name = "eater"

    def misbehave(self) -> None:
        held: list[bytes] = []
        while True:
            held.append(b"\1" * 2**25)


class Old:
    """Was written for an interface that is no more."""

    name = "old"
    api_version = 0
    needs: Mapping[str, Sequence[str]] = {}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> Sequence[Sequence[Finding]]:
        return [[] for _ in batch.images]
