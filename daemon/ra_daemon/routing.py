"""Which route takes an image: the first that matches, in the order of the file."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ra_daemon.config import Config, Route
from ra_daemon.domain import Header, Lane, Origin

_LANES = {"stat": Lane.STAT, "normal": Lane.NORMAL, "off-hours": Lane.OFF_HOURS}


def match_route(config: Config, origin: Origin, header: Header) -> Route | None:
    """The route for an image, or None when no route takes it.

    AE titles match as shell patterns, case sensitive (PS3.5 6.2); descriptions ignore case.
    """
    return next((r for r in config.route if _matches(r, origin, header)), None)


def lane_of(route: Route) -> Lane:
    """The lane that a route names."""
    return _LANES[route.lane]


def _matches(route: Route, origin: Origin, header: Header) -> bool:
    parts = {p.upper() for p in route.body_parts}
    return (
        fnmatchcase(origin.calling_ae, route.calling_ae)
        and fnmatchcase(origin.called_ae, route.called_ae)
        and fnmatchcase(header.study_description.lower(), route.description.lower())
        and (not parts or header.body_part.upper() in parts)
    )
