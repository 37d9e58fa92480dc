"""Which route takes an image: the first that matches, in the order of the file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import ip_address

from ra_daemon.config import Config, Route
from ra_daemon.domain import Header, Lane, Origin

_LANES = {"stat": Lane.STAT, "normal": Lane.NORMAL, "off-hours": Lane.OFF_HOURS}


def match_route(config: Config, origin: Origin, header: Header) -> Route | None:
    """The route for an image, or None when no route takes it.

    AE titles match as shell patterns, case sensitive (PS3.5 6.2); descriptions ignore case. The
    least age is no question of the route: a child is refused by the gate, not passed on.
    """
    return next((r for r in config.route if _matches(r, origin, header)), None)


def lane_of(route: Route) -> Lane:
    """The lane that a route names."""
    return _LANES[route.lane]


def _matches(route: Route, origin: Origin, header: Header) -> bool:
    parts = {p.upper() for p in route.body_parts}
    classes = route.sop_class_uids
    return (
        fnmatchcase(origin.calling_ae, route.calling_ae)
        and fnmatchcase(origin.called_ae, route.called_ae)
        and _from_there(route, origin.address)
        and (not classes or header.sop_class_uid in classes)
        and fnmatchcase(header.study_description.lower(), route.description.lower())
        and (not parts or header.body_part.upper() in parts)
        and not _too_old(route, header.patient_age_years)
    )


def _from_there(route: Route, address: str) -> bool:
    """Whether the caller's address is in the route's networks; an unknown one is in none."""
    if not route.calling_networks:
        return True
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    if caller.version == 6 and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped  # a socket that listens on :: names IPv4 callers so
    return any(caller in network for network in route.calling_networks)


def _too_old(route: Route, age_years: float | None) -> bool:
    """``max_age`` counts completed years; an unknown age is not too old."""
    return route.max_age is not None and age_years is not None and age_years >= route.max_age + 1
