"""ra-daemon config: check or show what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ra_daemon.commands.common import config_option, emit_json, emit_table, json_option, load, say


@click.group("config")
def command() -> None:
    """Check or show the configuration."""


@command.command("check")
@config_option
def check(config_path: Path | None) -> None:
    """Name every fault with its key, line, allowed range and the nearest key."""
    from ra_daemon import settings

    load(config_path)
    say(f"{settings.locate(config_path)} is in order.")


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
