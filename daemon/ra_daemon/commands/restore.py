"""ra-daemon restore: verify a backup, or put it back into an empty root."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ra_daemon.commands.backup import DUMP, FOLDERS, MANIFEST, postgres, sums_of
from ra_daemon.commands.common import config_option, database, load, say, sqlite_path
from ra_daemon.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from ra_daemon.config import Config


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--verify", is_flag=True, help="Only compare the backup with its hashes.")
@config_option
def command(folder: Path, config_path: Path | None, *, verify: bool) -> None:
    """Put the backup in FOLDER back into an empty root, after comparing every hash.

    With PostgreSQL into an empty database as well, by pg_restore.
    """
    head = _verified(folder)
    if verify:
        say(f"{folder} is whole.")
        return
    config = load(config_path)
    target = sqlite_path(config)
    kind, held = ("SQLite", "ra-daemon.db") if target is not None else ("PostgreSQL", DUMP)
    if not (folder / held).is_file():
        raise ConfigError(
            f"The backup is not one of {kind}, store.url is.",
            hint="Set store.url to the kind of database that was backed up.",
        )
    if target is None:
        _check_empty(config.database_url)
    elif target.exists():
        raise ConfigError(f"{target} is there.", hint="Move it away, or change store.url.")
    if config.root.is_dir() and any(config.root.iterdir()):
        raise ConfigError(
            f"{config.root} is not empty.", hint="Move it away, or change store.root."
        )
    config.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.copytree(folder / name, config.root / name)
    # The database last: a restore that is cut short leaves no database that looks whole.
    if target is not None:
        shutil.copy2(folder / held, target)
    else:
        postgres(
            config.database_url, "pg_restore", "--no-owner", "--no-privileges",
            "--single-transaction", "--exit-on-error", str(folder / held),
        )  # fmt: skip
    _compare(config_path, head)
    again = _admit_again(config)
    if again:
        say(f"{again} images came after the copy of the database: back in the inbox.")
    say(f"{folder} is back in {config.root}.")


def _admit_again(config: Config) -> int:
    """Put received files that the database does not know back into the inbox."""
    from ra_daemon.store import reconcile
    from ra_daemon.store.objects import ObjectStore

    objects = ObjectStore(config.root)
    with database(config) as engine:
        found = [p for p in reconcile.strays(engine, objects) if p.suffix == ".dcm"]
    for path in found:
        path.replace(objects.inbox / path.name)
    return len(found)


def _check_empty(url: str) -> None:
    """Refuse a PostgreSQL database that holds tables.

    Raises:
        ConfigError: it does.
        StoreError: it does not answer.
    """
    import sqlalchemy as sa

    from ra_daemon.store.engine import read_only

    engine = read_only(url)
    try:
        tables = sa.inspect(engine).get_table_names()
    except sa.exc.OperationalError as error:
        raise StoreError(
            "The database does not answer.", hint="Make an empty one first: createdb NAME."
        ) from error
    finally:
        engine.dispose()
    if tables:
        raise ConfigError(
            f"The database holds {len(tables)} tables.",
            hint="Make an empty one (createdb NAME) and name it in store.url.",
        )


def _verified(folder: Path) -> str:
    """Compare every file; the head of the audit chain at the time of the backup."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, head = dict(manifest["files"]), str(manifest["audit_head"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{folder} has no readable {MANIFEST}.",
            hint="Name the folder of a backup; of this one no file can be trusted without it.",
        ) from error
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
