"""The pipeline of a route: a digest of everything that decides a result but the engine."""

from __future__ import annotations

import hashlib

from ra_daemon.config import Config, Route
from ra_daemon.steps import gate, score


def digest_of(config: Config, route: Route) -> str:
    """sha256 of bundles, gate with the route's options, and scorers.

    Raises:
        BundleError: a bundle cannot be trusted.
        ConfigError: the route names a scorer that is not there.
    """
    return score.pipeline_digest(config, route.scorers, gate.version(config.gate, route))


def shadow_digest_of(config: Config, route: Route) -> str:
    """The same with the shadow bundle; empty without one.

    A digest of its own: the bundle may become active, and then judges the same images once more.
    """
    if not config.scoring.shadow:
        return ""
    scoring = config.scoring.model_copy(update={"bundle": config.scoring.shadow})
    digest = digest_of(config.model_copy(update={"scoring": scoring}), route)
    return hashlib.sha256(f"shadow {digest}".encode()).hexdigest()
