"""ra-daemon models: bundles that are installed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.build import build_command
from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.commands.model_states import activate, change, compare, retire, shadow, states
from ra_daemon.errors import ConfigError
from ra_engine.errors import RaError

if TYPE_CHECKING:
    from ra_daemon.config import Config


@click.group("models")
def command() -> None:
    """List, show, build, verify, install and retire model bundles."""


@command.command("list")
@config_option
@json_option
def list_models(config_path: Path | None, *, as_json: bool) -> None:
    """List bundles; those in use are marked."""
    rows = rows_of(load(config_path, required=config_path is not None))
    if as_json:
        emit_json(rows)
        return
    columns = ("name", "version", "intended_use", "in_use", "state", "files", "path")
    emit_table(columns, [[row[c] for c in columns] for row in rows])


def rows_of(config: Config) -> list[dict[str, Any]]:
    """One row a bundle; each is verified."""
    from ra_daemon import plugins
    from ra_engine.bundle import load_bundle

    held = states(config)
    active = next((name for name, state in held.items() if state == "active"), "")
    used = (active or config.scoring.bundle, config.scoring.locator)
    rows = []
    for name, path in sorted(plugins.bundle_paths(config.root).items()):
        row: dict[str, Any] = {"name": name, "path": str(path), "in_use": name in used}
        row |= {"version": "", "intended_use": "", "digest": "", "files": "verified"}
        row["state"] = held.get(name, "")
        try:
            bundle = load_bundle(path)
        except RaError as error:
            row["files"] = str(error)
        else:
            row |= {"version": bundle.version, "digest": bundle.digest}
            row["intended_use"] = bundle.manifest.intended_use
        rows.append(row)
    return rows


@command.command("show")
@click.argument("name")
@config_option
@json_option
def show(name: str, config_path: Path | None, *, as_json: bool) -> None:
    """Show the manifest of a bundle, or with no --json its card."""
    from ra_daemon import plugins
    from ra_engine.bundle import load_bundle

    config = load(config_path, required=config_path is not None)
    bundle = load_bundle(plugins.bundle_path(name, config.root))
    if as_json:
        emit_json({"digest": bundle.digest, **bundle.manifest.model_dump(mode="json")})
        return
    card = bundle.path / "card.md"
    click.echo(card.read_text(encoding="utf-8") if card.is_file() else f"{name} has no card.")


command.add_command(build_command)


@command.command("verify")
@click.argument("name", required=False)
@config_option
@click.pass_context
def verify(ctx: click.Context, name: str | None, config_path: Path | None) -> None:
    """Compare every file of one bundle, or of all, with its hash."""
    rows = rows_of(load(config_path, required=config_path is not None))
    chosen = [r for r in rows if name in (None, r["name"])]
    if not chosen:
        raise ConfigError(f"No bundle {name!r}; there are {', '.join(r['name'] for r in rows)}.")
    for row in chosen:
        say(f"{row['name']}: {row['files']}")
    ctx.exit(int(any(r["files"] != "verified" for r in chosen)))


@command.command("install")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False, exists=True))
@config_option
def install(path: Path, config_path: Path | None) -> None:
    """Verify the bundle in PATH and copy it to models/NAME-VERSION in the store, a candidate."""
    from ra_daemon.store.models import ModelState
    from ra_engine.bundle import load_bundle

    config = load(config_path)
    models = config.root / "models"
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    bundle = load_bundle(path)
    key = f"{bundle.name}-{bundle.version}"
    target = models / key
    if target.exists():
        raise ConfigError(
            f"{bundle.name} {bundle.version} is installed.",
            hint="Give a changed bundle another version; ra-daemon models list shows all.",
        )
    # Copied beside and renamed: a node that looks in meanwhile never sees half a bundle.
    scratch = Path(tempfile.mkdtemp(dir=models.parent, prefix="install-"))
    try:
        copied = load_bundle(Path(shutil.copytree(path, scratch / key)))
        copied.path.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    click.echo(str(target))
    change(config, key, ModelState.CANDIDATE, f"installed from {path.name}")
    say(f"Next: ra-daemon models shadow {key}, or ra-daemon models activate {key}.")


for _change in (shadow, activate, retire, compare):
    command.add_command(_change)
