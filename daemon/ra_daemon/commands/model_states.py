"""ra-daemon models: the states of bundles, and the difference between two of them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
    sqlite_path,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ra_daemon.config import Config
    from ra_daemon.store import models
    from ra_daemon.store.models import ModelState

reason_option = click.option("--reason", default="", help="Kept in the audit trail.")


@click.command("shadow")
@click.argument("name")
@reason_option
@config_option
def shadow(name: str, reason: str, config_path: Path | None) -> None:
    """Let a bundle score beside the active one, from the next start of the node on.

    Its results are rows of role shadow: never sent, in no report. The bundle that was shadow so
    far becomes a candidate.
    """
    from ra_daemon.store.models import ModelState

    change(load(config_path), name, ModelState.SHADOW, reason)


@click.command("activate")
@click.argument("name")
@reason_option
@config_option
def activate(name: str, reason: str, config_path: Path | None) -> None:
    """Make a bundle the one that scores, from the next start of the node on.

    It goes before scoring.bundle of the configuration. The bundle that was active is retired; to
    go back, activate that one. Images that were scored are not scored again by themselves: see
    ra-daemon jobs rescore.
    """
    from ra_daemon.store.models import ModelState

    change(load(config_path), name, ModelState.ACTIVE, reason)


@click.command("retire")
@click.argument("name")
@reason_option
@config_option
def retire(name: str, reason: str, config_path: Path | None) -> None:
    """Take a bundle out of use; its files stay, and it can be activated again."""
    from ra_daemon.errors import ConfigError
    from ra_daemon.store.models import ModelState

    config = load(config_path)
    if name in (config.scoring.bundle, config.scoring.locator):
        raise ConfigError(
            f"{name} is in use by the configuration.",
            hint="Set scoring.bundle to another one first.",
        )
    change(config, name, ModelState.RETIRED, reason)


@click.command("compare")
@click.argument("a")
@click.argument("b")
@config_option
@json_option
def compare(a: str, b: str, config_path: Path | None, *, as_json: bool) -> None:
    """Show the difference B minus A on the images that both bundles scored.

    A and B are NAME or NAME-VERSION. Number of images, mean difference, standard deviation, limits
    of agreement (mean +- 1.96 SD), and the largest difference with the sha256 of its image.
    """
    from ra_daemon.cohort import pairs

    found = [asdict(p) for p in pairs.compare(load(config_path).database_url, a, b)]
    if as_json:
        emit_json({"a": a, "b": b, "scales": found})
        return
    columns = ("scale", "n", "mean", "sd", "low", "high", "largest", "largest_source")
    emit_table(columns, [[_shown(row[c]) for c in columns] for row in found])
    if not any(row["n"] for row in found):
        say("No image was scored by both; let one of them run as shadow.")


def change(config: Config, name: str, state: ModelState, reason: str) -> None:
    """Verify a bundle, bring it into a state, and tell what changed."""
    from ra_daemon import models
    from ra_daemon.store import models as rows
    from ra_daemon.store.models import ModelState

    which = identity(config, name)
    if state in (ModelState.ACTIVE, ModelState.SHADOW):
        models.load("bundle", name, config.root)
    with opened(config) as engine:
        changed = rows.move(engine, which, state, who=getpass.getuser(), why=reason)
    for other, now in changed:
        say(f"{other} is {now.value}.")
    if not changed:
        say(f"{name} is {state.value} already.")
    elif state is not ModelState.CANDIDATE:
        say("A running node uses what it loaded at its start: restart it.")


def identity(config: Config, name: str) -> models.Identity:
    """What the bundle of that name is, its files compared with their hashes.

    Raises:
        ConfigError: no such bundle.
        BundleError: it cannot be trusted.
    """
    from ra_daemon import plugins
    from ra_daemon.store import models
    from ra_engine.bundle import load_bundle

    path = plugins.bundle_path(name, config.root)
    key = next(k for k, p in plugins.bundle_paths(config.root).items() if p == path)
    found = load_bundle(path)
    return models.Identity(name=key, bundle=found.name, version=found.version, digest=found.digest)


@contextmanager
def opened(config: Config) -> Iterator[sa.Engine]:
    """The database; a new one is made, for bundles are installed before the first start."""
    from ra_daemon.commands.common import database
    from ra_daemon.store import schema
    from ra_daemon.store.engine import open_engine

    path = sqlite_path(config)
    if path is not None and not path.is_file():
        schema.check_lost(None, config.root)
        engine = open_engine(config.database_url)
        schema.upgrade(engine)
        engine.dispose()
    with database(config) as engine:
        yield engine


def effective(config: Config, told: Callable[[str], None] = lambda _text: None) -> Config:
    """The configuration with the bundles that were activated; as it is without a database.

    Args:
        told: told when the database that would know them cannot be asked.
    """
    from ra_daemon import models
    from ra_daemon.commands.common import database
    from ra_daemon.errors import StoreError

    path = sqlite_path(config)
    if path is not None and not path.is_file():
        return config
    try:
        with database(config) as engine:
            return models.effective(config, engine)
    except StoreError as error:
        told(f"Which bundle is active is not known: {error} Used: {config.scoring.bundle}.")
        return config


def states(config: Config) -> dict[str, str]:
    """State of each bundle that has one; none without a database."""
    from ra_daemon.commands.common import database
    from ra_daemon.store import models

    path = sqlite_path(config)
    if path is not None and not path.is_file():
        return {}
    with database(config) as engine:
        return {row.name: row.state.value for row in models.rows(engine)}


def _shown(value: object) -> object:
    return round(value, 2) if isinstance(value, float) else value
