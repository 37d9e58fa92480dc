"""Change of each subject since the first visit, by the rule of ``ra-daemon cohort``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ra_daemon.cohort.statistics import change_limits
from ra_daemon.commands.demo.reconcile import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Score minus the score of the first visit, in score units, with its limits.

    ``below_detectable_change``: the limits hold 0, so there may be no change at all. The first
    visit has no limits and no flag.
    """

    subject: str
    visit: int
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def below_detectable_change(self) -> bool:
        """The flag of a cohort's table."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


def changes(lines: Sequence[Line]) -> dict[str, list[Change]]:
    """Subject -> its changes in the order of visits, the first visit (0) included."""
    found: dict[str, list[Change]] = {}
    first: dict[str, Line] = {}
    for line in lines:
        subject, visit = line.sent.subject, line.sent.visit
        if line.score is None or line.low is None or line.high is None or not subject:
            continue
        base = first.setdefault(subject, line)
        made = found.setdefault(subject, [])
        if base is line or base.score is None or base.low is None or base.high is None:
            made.append(Change(subject=subject, visit=visit, value=0.0))
            continue
        low, high = change_limits(
            line.score, (line.low, line.high), base.score, (base.low, base.high)
        )
        value = line.score - base.score
        made.append(Change(subject=subject, visit=visit, value=value, low=low, high=high))
    return found
