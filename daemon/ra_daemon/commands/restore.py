"""ra-daemon restore: verify a backup, or put it back into an empty root."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from ra_daemon.commands.backup import FOLDERS, MANIFEST, sums_of
from ra_daemon.commands.common import config_option, database, load, say, sqlite_path
from ra_daemon.errors import ConfigError, StoreError


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--verify", is_flag=True, help="Only compare the backup with its hashes.")
@config_option
def command(folder: Path, config_path: Path | None, *, verify: bool) -> None:
    """Put the backup in FOLDER back into an empty root, after comparing every hash."""
    head = _verified(folder)
    if verify:
        say(f"{folder} is whole.")
        return
    config = load(config_path)
    target = sqlite_path(config)
    if target is None or not (folder / "ra-daemon.db").is_file():
        raise ConfigError(
            "Only a backup of SQLite is put back here.",
            hint=f"createdb, then pg_restore --dbname=NAME {folder / 'database.dump'}; then copy "
            f"{', '.join(FOLDERS)} into store.root.",
        )
    if target.exists() or (config.root.is_dir() and any(config.root.iterdir())):
        raise ConfigError(
            f"{config.root} is not empty.", hint="Move it away, or change store.root."
        )
    config.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.copytree(folder / name, config.root / name)
    # The database last: a restore that is cut short leaves no database that looks whole.
    shutil.copy2(folder / "ra-daemon.db", target)
    _compare(config_path, head)
    say(f"{folder} is back in {config.root}.")


def _verified(folder: Path) -> str:
    """Compare every file; the head of the audit chain at the time of the backup."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, head = dict(manifest["files"]), str(manifest["audit_head"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} has no readable {MANIFEST}.") from error
    found = sums_of(folder)
    wrong = sorted(n for n in files.keys() | found.keys() if files.get(n) != found.get(n))
    if wrong:
        raise StoreError(
            f"{len(wrong)} files differ from the manifest: {', '.join(wrong[:5])}.",
            hint="Use another backup: this one was changed or is not whole.",
        )
    return head


def _compare(config_path: Path | None, head: str) -> None:
    from ra_daemon.store import audit
    from ra_daemon.store.engine import reading

    with database(load(config_path)) as engine, reading(engine) as conn:
        there = audit.verify(conn)
    if there != head:
        raise StoreError(f"The audit chain ends with {there}, the manifest says {head}.")
