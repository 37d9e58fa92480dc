"""Whose fault it is when an engine fails: the image's only where others were scored meanwhile."""

from __future__ import annotations

from ra_daemon.domain import Outcome, Scored


class Blame:
    """What a dispatcher has seen of its engine."""

    def __init__(self) -> None:
        self._scored = 0
        self._failed_on: dict[int, int] = {}  # job -> images that had been scored by then

    def worked(self, outcome: Outcome) -> None:
        """The process has given an outcome."""
        self._scored += isinstance(outcome, Scored)

    def falls_on(self, job_id: int) -> bool:
        """The engine failed on this image, alone in hand; whether the image is to blame.

        An engine that failed on it before and has scored others since is sound: the image is to
        blame. With no such proof the engine is, however often it fails.
        """
        before = self._failed_on.get(job_id, self._scored)
        self._failed_on[job_id] = self._scored
        return self._scored > before
