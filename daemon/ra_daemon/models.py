"""Which bundles a node uses: those of the configuration, until others are activated."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from ra_daemon import plugins
from ra_daemon.config import Config
from ra_daemon.errors import ConfigError
from ra_daemon.store import models
from ra_daemon.store.models import ModelRow, ModelState
from ra_engine.bundle import Bundle, load_bundle


def effective(config: Config, engine: Engine) -> Config:
    """The configuration with the active and the shadow bundle that the database names."""
    active = models.in_state(engine, ModelState.ACTIVE)
    shadow = models.in_state(engine, ModelState.SHADOW)
    update: dict[str, str] = {}
    if active is not None:
        update["bundle"] = active.name
    if shadow is not None:
        update["shadow"] = shadow.name
    return config.model_copy(update={"scoring": config.scoring.model_copy(update=update)})


def check(config: Config, engine: Engine) -> None:
    """Refuse a bundle that gives no score, or whose files are not those that were activated.

    Raises:
        BundleError: a bundle cannot be trusted.
        ConfigError: it gives no score, or was changed since.
    """
    for key, name in used(config).items():
        load(key, name, config.root)
    for state in (ModelState.ACTIVE, ModelState.SHADOW):
        row = models.in_state(engine, state)
        if row is not None and load_bundle(plugins.bundle_path(row.name, config.root)).digest != (
            row.digest
        ):
            raise _changed(row)


def used(config: Config) -> dict[str, str]:
    """Key of ``[scoring]`` -> name of the bundle; ``shadow`` only where one is named."""
    scoring = config.scoring
    named = {"bundle": scoring.bundle, "locator": scoring.locator}
    return {**named, "shadow": scoring.shadow} if scoring.shadow else named


def load(key: str, name: str, root: Path) -> Bundle:
    """Load the bundle of a key of ``[scoring]``.

    Raises:
        BundleError: it cannot be trusted.
        ConfigError: there is none, or it gives no score: a locator cannot take a scorer's place.
    """
    bundle = load_bundle(plugins.bundle_path(name, root))
    if key != "locator" and bundle.manifest.score is None:
        raise ConfigError(
            f"{name} gives no score.",
            hint="Name one that does, see ra-daemon models list; scoring.locator names a locator.",
        )
    return bundle


def _changed(row: ModelRow) -> ConfigError:
    return ConfigError(
        f"The bundle {row.name} is not the one that became {row.state.value}: its files changed.",
        hint=f"Install the right one, or ra-daemon models activate {row.name} again.",
    )
