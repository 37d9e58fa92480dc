"""ra-daemon stop: drain and end the node."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from ra_daemon.commands.common import config_option, load, running_pid, say
from ra_daemon.errors import DaemonError


@click.command("stop")
@config_option
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0), help="Seconds."
)
def command(config_path: Path | None, *, timeout: float) -> None:
    """Ask the running node to finish its batch and end; wait for it."""
    config = load(config_path)
    pid = running_pid(config)
    if pid is None:
        say("No node runs.")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while running_pid(config) == pid:
        if time.monotonic() > deadline:
            raise DaemonError(
                f"Process {pid} still drains after {timeout:g} s.",
                hint=f"Wait longer, or kill -9 {pid}: nothing is lost by it.",
            )
        time.sleep(0.1)
    say(f"Process {pid} has ended.")
