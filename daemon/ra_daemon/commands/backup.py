"""ra-daemon backup: database, received and composed objects, configuration, with hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ra_daemon.commands.common import config_option, database, load, say, sqlite_path
from ra_daemon.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ra_daemon.config import Config

MANIFEST = "MANIFEST.json"
DUMP = "database.dump"
FOLDERS = ("inbox", "objects", "models")
"""Folders of the root that hold state."""


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@config_option
def command(folder: Path, config_path: Path | None) -> None:
    """Copy all state into the new or empty FOLDER; the node may run meanwhile.

    The database goes first: a restore admits files without rows again, rows without files would
    be lost.
    """
    from ra_daemon import settings

    config = load(config_path)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty.", hint="Name a new folder.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with database(config) as engine:
        head = _audit_head(engine)
        _dump(config, engine, folder)
    for name in FOLDERS:
        if (config.root / name).is_dir():
            shutil.copytree(config.root / name, folder / name, copy_function=_copy)
    source = settings.locate(config_path)
    if source is not None:
        shutil.copy2(source, folder / "ra-daemon.toml")
    sums = sums_of(folder)
    manifest = {"audit_head": head, "files": sums}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    click.echo(str(folder))
    say(f"{len(sums)} files; the head of the audit chain is {head}: note it elsewhere.")


def _copy(source: str, target: str) -> None:
    """Copy a file, unless it went meanwhile: admitted from the inbox, or purged."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def sums_of(folder: Path) -> dict[str, str]:
    """sha256 of every file by its path, but for the manifest itself."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    found = {}
    for path in files:
        with path.open("rb") as stream:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                stream, "sha256"
            ).hexdigest()
    return found


def _audit_head(engine: sa.Engine) -> str:
    from ra_daemon.store import audit
    from ra_daemon.store.engine import reading

    with reading(engine) as conn:
        return audit.verify(conn)


def _dump(config: Config, engine: sa.Engine, folder: Path) -> None:
    """A consistent copy of the database as of now."""
    if sqlite_path(config) is not None:
        driver = engine.raw_connection()
        try:
            driver.cursor().execute("VACUUM INTO ?", (str(folder / "ra-daemon.db"),))
        finally:
            driver.close()
        return
    postgres(config.database_url, "pg_dump", "--format=custom", f"--file={folder / DUMP}")


def postgres(url: str, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's client on the database at ``url``.

    Raises:
        StoreError: it is not installed, or it fails.
    """
    from sqlalchemy.engine import make_url

    path = shutil.which(program)
    if path is None:
        raise StoreError(
            f"There is no {program}.",
            hint="apt-get install postgresql-client, of the server's version or newer.",
        )
    address = make_url(url).set(drivername="postgresql")
    # The password goes by environment: other users can read the arguments of a process.
    secret = {"PGPASSWORD": address.password} if address.password else {}
    shown = address.set(password=None).render_as_string()
    done = subprocess.run(
        [path, *arguments, f"--dbname={shown}"],
        env={**os.environ, **secret},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise StoreError(
            f"{program} fails: {said}",
            hint="Its version must not be older than the server's; see also ra-daemon doctor.",
        )
