"""ra-daemon config: check or show what is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.common import config_option, emit_json, emit_table, json_option, load, say

if TYPE_CHECKING:
    from ra_daemon.config import Config


@click.group("config")
def command() -> None:
    """Check or show the configuration."""


@command.command("check")
@config_option
def check(config_path: Path | None) -> None:
    """Name every fault with its key, line, allowed range and the nearest key, what is named and
    not installed, what a start would refuse, and what can have no effect."""
    from ra_daemon import contradictions, settings
    from ra_daemon.errors import ConfigError

    config = _loaded(config_path)
    idle = map(str, contradictions.idle(settings.written(config_path)))
    faults = [*idle, *_absent(config), *_refused(config)]
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise ConfigError(
            f"{settings.locate(config_path)} names what is not there, cannot be used or has no "
            f"effect:{listed}",
            hint="Correct the values, or install what they mean; ra-daemon doctor tells more.",
        )
    say(f"{settings.locate(config_path)} is in order.")


def _loaded(config_path: Path | None) -> Config:
    """The configuration; of one that cannot be used the remedy is not this very command."""
    from ra_daemon.errors import ConfigError

    try:
        return load(config_path)
    except ConfigError as error:
        if error.hint == ConfigError.hint:
            error.hint = "Correct what is named; docs/configuration.md tells every key."
        raise


def _absent(config: Config) -> Iterator[str]:
    """Values that are well written and mean nothing on this machine."""
    from ra_daemon import models, plugins, settings
    from ra_daemon.engines import order_of
    from ra_daemon.store.engine import address_of
    from ra_engine.errors import RaError
    from ra_engine.registry import BACKENDS, points

    try:
        settings.check_root(config)
    except RaError as error:
        yield str(error)
    try:
        address_of(config.database_url)
    except RaError as error:
        yield f"store.url: {error} {error.hint}"
    scorers, _broken = plugins.scorers(config.scoring.plugins)
    for route in config.route:
        for name in sorted(set(route.scorers) - set(scorers)):
            usable = ", ".join(sorted(scorers))
            yield f"route {route.name!r}: there is no usable scorer {name!r}; there are {usable}"
    known = {point.name for point in points(BACKENDS)}
    for name in sorted({c.backend for c in order_of(config)} - known):
        yield f"engine.backends: there is no backend {name!r}; there are {', '.join(sorted(known))}"
    for key, name in models.used(config).items():
        try:
            models.load(key, name, config.root)
        except RaError as error:
            yield f"scoring.{key}: {error}"


def _refused(config: Config) -> Iterator[str]:
    """What the pages, our port or a call to a peer would refuse."""
    from ra_daemon.dicom.tls import client_context, server_context
    from ra_daemon.web.server import check_bind
    from ra_engine.errors import RaError

    steps: list[tuple[str, Callable[[], object]]] = [("tls", lambda: server_context(config.tls))]
    steps += [
        (f"peer {peer.name!r}", partial(client_context, config.tls, peer)) for peer in config.peer
    ]
    if config.web.enabled:
        steps.append(("web", lambda: check_bind(config)))
    for where, step in steps:
        try:
            step()
        except RaError as error:
            yield f"{where}: {error} {error.hint}"


@command.command("show")
@config_option
@json_option
def show(config_path: Path | None, *, as_json: bool) -> None:
    """Print every key that is in force, and which of them the environment sets."""
    from ra_daemon import settings

    config = load(config_path)
    values = _hidden(config.model_dump(mode="json"))
    origin = str(settings.locate(config_path))
    by_environment = settings.overrides()
    if as_json:
        emit_json({"file": origin, "environment": by_environment, "config": values})
        return
    say(f"from {origin}; by environment: {', '.join(by_environment) or 'nothing'}")
    emit_table(("key", "value"), list(_flat(values)))


def _hidden(values: dict[str, Any]) -> dict[str, Any]:
    """Without the password of the database URL."""
    from sqlalchemy.engine import make_url

    url = values["store"]["url"]
    if url:
        values["store"]["url"] = make_url(url).render_as_string(hide_password=True)
    return values


def _flat(values: dict[str, Any]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for table, section in values.items():
        many = section if isinstance(section, list) else [section]
        for one in many:
            name = f"{table}[{one['name']}]" if isinstance(section, list) else table
            rows += [(f"{name}.{key}", value) for key, value in one.items()]
    return rows
