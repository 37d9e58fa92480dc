"""Which bundles a node uses: those of the configuration, until others are activated."""

from __future__ import annotations

from sqlalchemy import Engine

from ra_daemon import plugins
from ra_daemon.config import Config
from ra_daemon.errors import ConfigError
from ra_daemon.store import models
from ra_daemon.store.models import ModelRow, ModelState
from ra_engine.bundle import load_bundle


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
    """Refuse a bundle whose files are not those that were activated.

    Raises:
        BundleError: a bundle cannot be trusted.
        ConfigError: it was changed since.
    """
    for state in (ModelState.ACTIVE, ModelState.SHADOW):
        row = models.in_state(engine, state)
        if row is not None and load_bundle(plugins.bundle_path(row.name, config.root)).digest != (
            row.digest
        ):
            raise _changed(row)


def _changed(row: ModelRow) -> ConfigError:
    return ConfigError(
        f"The bundle {row.name} is not the one that became {row.state.value}: its files changed.",
        hint=f"Install the right one, or ra-daemon models activate {row.name} again.",
    )
