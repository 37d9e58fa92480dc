"""Plugins as the daemon sees them: scorers, backends and bundles by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ra_daemon.errors import ConfigError
from ra_engine import registry
from ra_engine.bundle import SUMS, Bundle, load_bundle
from ra_engine.contracts import Scorer
from ra_engine.errors import BundleError
from ra_engine.registry import Broken as BrokenPlugin

ALLOW_VARIABLE = "RA_DAEMON_PLUGINS"


def scorers(allowed: Sequence[str] = ()) -> tuple[dict[str, Scorer], list[BrokenPlugin]]:
    """Usable scorers by name, and broken ones with the reason.

    The environment variable ``RA_DAEMON_PLUGINS`` (comma separated) narrows ``allowed``.
    """
    names = [n for n in os.environ.get(ALLOW_VARIABLE, "").split(",") if n]
    return registry.load_scorers(tuple(names) or tuple(allowed))


def scorer_origins() -> dict[str, str]:
    """Name and version of the distribution behind each scorer."""
    return registry.origins(registry.SCORERS)


def bundles(root: Path | None = None) -> tuple[dict[str, Path], list[BrokenPlugin]]:
    """Folders of all bundles by name, and entry points that give none, with the reason.

    Those in ``root/models`` go before those of distributions.
    """
    found, broken = registry.load_bundles()
    installed = root / "models" if root is not None else None
    if installed is not None and installed.is_dir():
        found.update({p.name: p for p in sorted(installed.iterdir()) if p.is_dir()})
    return found, broken


def bundle_paths(root: Path | None = None) -> dict[str, Path]:
    """Folders of all usable bundles by name."""
    return bundles(root)[0]


def bundles_beside(scorer: str) -> list[Path]:
    """Folders of bundles that may serve roles of this scorer that the configured bundle lacks.

    Those of its own distribution, then those of others. What ships with ra-daemon has no part in
    it: a demonstration model never steps in for another one, and the built-in scorers read the
    configured bundle alone.
    """
    if registry.is_built_in(registry.SCORERS, scorer):
        return []
    own = scorer_origins().get(scorer, "")
    origins = registry.origins(registry.BUNDLES)
    found, _broken = registry.load_bundles()
    names = [n for n in found if not registry.is_built_in(registry.BUNDLES, n)]
    return [found[n] for n in sorted(names, key=lambda n: (origins[n] != own, n))]


def bundle_path(name: str, root: Path | None = None) -> Path:
    """The folder of a bundle.

    Raises:
        ConfigError: no bundle of that name, or it is broken.
    """
    known, broken = bundles(root)
    if name not in known:
        versions = [key for key in known if key.rpartition("-")[0] == name]
        if len(versions) == 1:
            return known[versions[0]]
        fault = next((b for b in broken if b.name == name), None)
        if fault is not None:
            raise ConfigError(
                f"The bundle {name!r} of {fault.origin} is broken: {fault.reason}.",
                hint="Update or remove that distribution, or correct scoring.bundle.",
            )
        raise ConfigError(
            f"No bundle {name!r}; there are {', '.join(sorted(known)) or 'none'}.",
            hint="Install one with ra-daemon models install PATH, or correct scoring.bundle.",
        )
    return known[name]


def bundle_of(digest: str, root: Path | None = None) -> Bundle | None:
    """The bundle whose digest (sha256 of its SHA256SUMS) a result names.

    Returns:
        None when no bundle here has it, or when its files are not those that were signed off.
    """
    for path in bundle_paths(root).values():
        sums = path / SUMS
        if sums.is_file() and hashlib.sha256(sums.read_bytes()).hexdigest() == digest:
            with suppress(BundleError):
                return load_bundle(path)
    return None


__all__ = [
    "BrokenPlugin",
    "bundle_of",
    "bundle_path",
    "bundle_paths",
    "bundles",
    "bundles_beside",
    "scorer_origins",
    "scorers",
]
