"""What is installed: scorers, backends and bundles found through entry points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isclass, isfunction
from os import PathLike
from pathlib import Path

from ra_engine.contracts import API_VERSION, Backend, Scorer

SCORERS, BACKENDS, BUNDLES = "ra_daemon.scorers", "ra_engine.backends", "ra_daemon.bundles"
_OURS = "ra-daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An entry point that cannot be used, where it comes from, and why."""

    name: str
    origin: str
    reason: str


def points(group: str) -> list[EntryPoint]:
    """Entry points of a group, sorted by name; of one name the built-in first."""
    return sorted(
        entry_points(group=group), key=lambda p: (p.name, not _built_in(p), origin_of(p), p.value)
    )


def origin_of(point: EntryPoint) -> str:
    """Name and version of the distribution that an entry point comes from."""
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist is not None else point.value


def origins(group: str) -> dict[str, str]:
    """The distribution behind each name of a group, without loading anything."""
    return {point.name: origin_of(point) for point in _named(group)[0]}


def is_built_in(group: str, name: str) -> bool:
    """Whether this name means what ships with ra-daemon."""
    return any(point.name == name and _built_in(point) for point in _named(group)[0])


def load_scorers(allowed: Sequence[str] = ()) -> tuple[dict[str, Scorer], list[Broken]]:
    """All usable scorers by name, and the broken ones; a broken one stops nobody.

    Args:
        allowed: names of entry points that may load; empty: all.
    """
    firsts, broken = _named(SCORERS, allowed)
    found: dict[str, Scorer] = {}
    for point in firsts:
        loaded = _load(point)
        if isinstance(loaded, Broken):
            broken.append(loaded)
        else:
            found[point.name] = loaded
    return found, broken


def load_backends(names: Sequence[str] = ()) -> tuple[dict[str, Backend], list[Broken]]:
    """Usable backends by name, and the broken ones; ``names`` narrows them, empty: all."""
    firsts, broken = _named(BACKENDS, names)
    found: dict[str, Backend] = {}
    for point in firsts:
        thing = _made(point)
        if isinstance(thing, Broken):
            broken.append(thing)
        elif not isinstance(thing, Backend):
            broken.append(
                _broken(point, "is no Backend: it needs name, family, forms, load() and facts()")
            )
        else:
            found[point.name] = thing
    return found, broken


def load_bundles() -> tuple[dict[str, Path], list[Broken]]:
    """Folders of all bundles that distributions offer, and the broken ones. Nothing is verified."""
    firsts, broken = _named(BUNDLES)
    found: dict[str, Path] = {}
    for point in firsts:
        thing = _made(point)
        if isinstance(thing, Broken):
            broken.append(thing)
        elif not isinstance(thing, str | PathLike) or not Path(thing).is_dir():
            broken.append(_broken(point, "gives no folder"))
        else:
            found[point.name] = Path(thing)
    return found, broken


def _named(group: str, names: Sequence[str] = ()) -> tuple[list[EntryPoint], list[Broken]]:
    """The entry point that each name means, and those that came too late for it.

    A name means the same whether or not its first owner can be loaded today.
    """
    firsts: dict[str, EntryPoint] = {}
    late: list[Broken] = []
    for point in points(group):
        if names and point.name not in names:
            continue
        first = firsts.setdefault(point.name, point)
        if first is not point:
            owner = "a built-in" if _built_in(first) else "another distribution"
            late.append(_broken(point, f"{owner} uses this name"))
    return list(firsts.values()), late


def _built_in(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == _OURS


def _made(point: EntryPoint) -> object:
    """The object of an entry point, called when it is a class or a function."""
    try:
        thing = point.load()
        return thing() if isclass(thing) or isfunction(thing) else thing
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the plugin load's isolation wall
        return _broken(point, f"{type(error).__name__}: {error}")


def _load(point: EntryPoint) -> Scorer | Broken:
    scorer = _made(point)
    if isinstance(scorer, Broken):
        return scorer
    if not isinstance(scorer, Scorer):
        return _broken(point, "is no Scorer: it needs name, api_version, needs and score()")
    if scorer.api_version != API_VERSION:
        return _broken(point, f"was written for API {scorer.api_version}, this is {API_VERSION}")
    if scorer.name != point.name:
        return _broken(point, f"calls itself {scorer.name!r}: the entry point must have that name")
    return scorer


def _broken(point: EntryPoint, reason: str) -> Broken:
    return Broken(name=point.name, origin=origin_of(point), reason=reason)
