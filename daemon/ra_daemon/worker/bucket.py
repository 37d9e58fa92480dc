"""The bucket of one batch: filled from the queue, or for a short time, whichever ends first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ra_daemon.domain import Claim, Lane

_LOOK_S = 0.005
"""Between two looks into the queue while waiting."""


class Bucket:
    """Claims of one batch.

    Args:
        claim: gives at most so many due jobs.
        size: jobs of a batch.
        wait_s: how long ``fill`` waits for a batch that is not full.
        clock: seconds, monotonic.
        sleep: pauses for so many seconds.
    """

    def __init__(
        self,
        claim: Callable[[int], Sequence[Claim]],
        size: int,
        wait_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._claim = claim
        self._size = size
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep
        self._was_full = False

    def take(self) -> list[Claim]:
        """What is due now."""
        claims = list(self._claim(self._size))
        self._was_full = len(claims) == self._size
        return claims

    def fill(self) -> list[Claim]:
        """What is due now, and what comes while the bucket is neither full nor waited for enough.

        Nothing is waited for when nothing is due, when a stat job is among the claims, or when the
        batch before was full: what is left then is the tail of a queue, not the head of one.
        """
        tail = self._was_full
        claims = self.take()
        deadline = self._clock() + self._wait_s
        while claims and not tail and not self._complete(claims):
            left = deadline - self._clock()
            if left <= 0:
                break
            self._sleep(min(left, _LOOK_S))
            try:
                claims += self._claim(self._size - len(claims))
            except Exception:  # noqa: BLE001 - what is claimed is worked; the next claim tells
                break
        return claims

    def _complete(self, claims: Sequence[Claim]) -> bool:
        return len(claims) >= self._size or any(c.lane is Lane.STAT for c in claims)
