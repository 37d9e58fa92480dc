"""Plugins as the daemon sees them: scorers, backends and bundles by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ra_daemon.errors import ConfigError
from ra_engine import registry
from ra_engine.contracts import Scorer
from ra_engine.registry import Broken as BrokenPlugin

ALLOW_VARIABLE = "RA_DAEMON_PLUGINS"


def scorers(allowed: Sequence[str] = ()) -> tuple[dict[str, Scorer], list[BrokenPlugin]]:
    """Usable scorers by name, and broken ones with the reason.

    The environment variable ``RA_DAEMON_PLUGINS`` (comma separated) narrows ``allowed``.
    """
    names = [n for n in os.environ.get(ALLOW_VARIABLE, "").split(",") if n]
    return registry.load_scorers(tuple(names) or tuple(allowed))


def bundle_paths(root: Path | None = None) -> dict[str, Path]:
    """Folders of all bundles by name: those in ``root/models`` before those of distributions."""
    found: dict[str, Path] = {}
    for point in registry.points(registry.BUNDLES):
        found[point.name] = Path(point.load()())
    installed = root / "models" if root is not None else None
    if installed is not None and installed.is_dir():
        found.update({p.name: p for p in sorted(installed.iterdir()) if p.is_dir()})
    return found


def bundle_path(name: str, root: Path | None = None) -> Path:
    """The folder of a bundle.

    Raises:
        ConfigError: no bundle of that name.
    """
    known = bundle_paths(root)
    if name not in known:
        versions = [key for key in known if key.rpartition("-")[0] == name]
        if len(versions) == 1:
            return known[versions[0]]
        raise ConfigError(
            f"No bundle {name!r}; there are {', '.join(sorted(known)) or 'none'}.",
            hint="Install one with ra-daemon models install PATH, or correct scoring.bundle.",
        )
    return known[name]


__all__ = ["BrokenPlugin", "bundle_path", "bundle_paths", "scorers"]
