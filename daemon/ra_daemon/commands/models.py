"""ra-daemon models: bundles that are installed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.errors import ConfigError
from ra_engine.errors import RaError

if TYPE_CHECKING:
    from ra_daemon.config import Config


@click.group("models")
def command() -> None:
    """List, show, verify, install and retire model bundles."""


@command.command("list")
@config_option
@json_option
def list_models(config_path: Path | None, *, as_json: bool) -> None:
    """List bundles; those in use are marked."""
    rows = rows_of(load(config_path, required=config_path is not None))
    if as_json:
        emit_json(rows)
        return
    columns = ("name", "version", "intended_use", "in_use", "state", "path")
    emit_table(columns, [[row[c] for c in columns] for row in rows])


def rows_of(config: Config) -> list[dict[str, Any]]:
    """One row a bundle; each is verified."""
    from ra_daemon import plugins
    from ra_engine.bundle import load_bundle

    used = (config.scoring.bundle, config.scoring.locator)
    rows = []
    for name, path in sorted(plugins.bundle_paths(config.root).items()):
        row: dict[str, Any] = {"name": name, "path": str(path), "in_use": name in used}
        row |= {"version": "", "intended_use": "", "digest": "", "state": "verified"}
        try:
            bundle = load_bundle(path)
        except RaError as error:
            row["state"] = str(error)
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
        say(f"{row['name']}: {row['state']}")
    ctx.exit(int(any(r["state"] != "verified" for r in chosen)))


@command.command("install")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False, exists=True))
@config_option
def install(path: Path, config_path: Path | None) -> None:
    """Verify the bundle in PATH and copy it into the store's models/ folder."""
    from ra_engine.bundle import load_bundle

    models = load(config_path).root / "models"
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    bundle = load_bundle(path)
    target = models / bundle.name
    if target.exists():
        raise ConfigError(
            f"A bundle {bundle.name!r} is installed.",
            hint=f"ra-daemon models retire {bundle.name}.",
        )
    # Copied beside and renamed: a node that looks in meanwhile never sees half a bundle.
    scratch = Path(tempfile.mkdtemp(dir=models.parent, prefix="install-"))
    try:
        copied = load_bundle(Path(shutil.copytree(path, scratch / bundle.name)))
        copied.path.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    click.echo(str(target))
    say(f"{bundle.name} {bundle.version} is installed; set scoring.bundle to use it, and restart.")


@command.command("retire")
@click.argument("name")
@config_option
def retire(name: str, config_path: Path | None) -> None:
    """Take an installed bundle out of use; its files stay under models-retired/."""
    config = load(config_path)
    source = config.root / "models" / name
    if not source.is_dir():
        raise ConfigError(f"No bundle {name!r} is installed in {source.parent}.")
    if name in (config.scoring.bundle, config.scoring.locator):
        raise ConfigError(f"{name} is in use.", hint="Set scoring.bundle to another one first.")
    kept = config.root / "models-retired"
    kept.mkdir(exist_ok=True, mode=0o700)
    number = len(list(kept.glob(f"{name}.*"))) + 1
    source.replace(kept / f"{name}.{number}")
    say(f"{name} is retired to {kept / f'{name}.{number}'}.")
