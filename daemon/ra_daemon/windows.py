"""Scoring windows such as ``20:00-06:00 Europe/London``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ra_daemon.errors import ConfigError

_FORM = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})(?:\s+(\S+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A daily window in one time zone; ``end`` before ``start`` runs over midnight."""

    start: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``HH:MM-HH:MM ZONE`` (zone: IANA name, default UTC).

        Raises:
            ConfigError: not of that form, or an unknown zone.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ConfigError(f"{text!r} is no window; write it as 20:00-06:00 Europe/London")
        h0, m0, h1, m1, zone = match.groups()
        try:
            return cls(
                start=time(int(h0), int(m0)),
                end=time(int(h1) % 24, int(m1)),
                zone=ZoneInfo(zone or "UTC"),
            )
        except ValueError as error:
            raise ConfigError(f"{text!r}: {error}") from error
        except (ZoneInfoNotFoundError, OSError) as error:  # the second: a part of the world alone
            raise ConfigError(f"{text!r}: no time zone {zone!r}; use an IANA name") from error

    def holds(self, moment: datetime) -> bool:
        """Whether an aware ``moment`` lies in the window; equal start and end mean all day."""
        now = moment.astimezone(self.zone).time().replace(tzinfo=None)
        if self.start == self.end:
            return True
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end
