"""What is installed: scorers, backends and bundles found through entry points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isclass, isfunction
from pathlib import Path

from ra_engine.contracts import API_VERSION, Backend, Scorer

SCORERS, BACKENDS, BUNDLES = "ra_daemon.scorers", "ra_engine.backends", "ra_daemon.bundles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An entry point that cannot be used, where it comes from, and why."""

    name: str
    origin: str
    reason: str


def points(group: str) -> list[EntryPoint]:
    """Entry points of a group, sorted by name."""
    return sorted(entry_points(group=group), key=lambda p: (p.name, p.value))


def load_scorers(allowed: Sequence[str] = ()) -> tuple[dict[str, Scorer], list[Broken]]:
    """All usable scorers by name, and the broken ones; a broken one stops nobody.

    Args:
        allowed: names of entry points that may load; empty: all.
    """
    found: dict[str, Scorer] = {}
    broken: list[Broken] = []
    for point in points(SCORERS):
        if allowed and point.name not in allowed:
            continue
        loaded = _load(point)
        if isinstance(loaded, Broken):
            broken.append(loaded)
        elif point.name in found:
            broken.append(_broken(point, "another distribution uses this name"))
        else:
            found[point.name] = loaded
    return found, broken


def load_backends(names: Sequence[str] = ()) -> tuple[dict[str, Backend], list[Broken]]:
    """Usable backends by name, and the broken ones; ``names`` narrows them, empty: all."""
    found: dict[str, Backend] = {}
    broken: list[Broken] = []
    for point in points(BACKENDS):
        if names and point.name not in names:
            continue
        thing = _made(point)
        if isinstance(thing, Broken):
            broken.append(thing)
        elif not isinstance(thing, Backend):
            broken.append(
                _broken(point, "is no Backend: it needs name, family, forms, load() and facts()")
            )
        else:
            found.setdefault(point.name, thing)
    return found, broken


def load_bundles() -> tuple[dict[str, Path], list[Broken]]:
    """Folders of all bundles that distributions offer, and the broken ones. Nothing is verified."""
    found: dict[str, Path] = {}
    broken: list[Broken] = []
    for point in points(BUNDLES):
        thing = _made(point)
        if isinstance(thing, Broken):
            broken.append(thing)
        elif not isinstance(thing, Path) or not thing.is_dir():
            broken.append(_broken(point, "gives no folder"))
        else:
            found.setdefault(point.name, thing)
    return found, broken


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
    dist = point.dist
    origin = f"{dist.name} {dist.version}" if dist is not None else point.value
    return Broken(name=point.name, origin=origin, reason=reason)
