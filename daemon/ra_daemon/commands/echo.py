"""ra-daemon echo: C-ECHO to a peer."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    json_option,
    load,
    peer_named,
    say,
)


@click.command("echo")
@click.argument("peer")
@config_option
@json_option
def command(peer: str, config_path: Path | None, *, as_json: bool) -> None:
    """Ask PEER for a sign of life; exit status 4 when there is none."""
    config = load(config_path)
    found = peer_named(config, peer)
    from ra_daemon.dicom import scu

    started = time.perf_counter()
    scu.echo(config, found)
    seconds = time.perf_counter() - started
    if as_json:
        emit_json({"peer": peer, "ok": True, "seconds": round(seconds, 4)})
    else:
        say(f"{peer} ({found.ae_title} at {found.host}:{found.port}) answers, {seconds:.3f} s.")
