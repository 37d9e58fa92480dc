"""The node of the demo: a real child process, watched from outside through its database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ra_daemon import settings
from ra_daemon.commands import init
from ra_daemon.commands.demo import modality, pacs
from ra_daemon.config import Config
from ra_daemon.errors import DaemonError
from ra_daemon.store import status
from ra_daemon.store.engine import read_only, reading

AE_TITLE = "RA_DAEMON"


class DemoNode:
    """``ra-daemon start`` in its own process group; ``stop`` leaves nothing behind."""

    def __init__(self, folder: Path, *, port: int, pacs_port: int, web_port: int) -> None:
        folder.mkdir(parents=True)
        self.path = folder / "ra-daemon.toml"
        self.path.write_text(_configuration(port, pacs_port, web_port), encoding="utf-8")
        self.config: Config = settings.load(self.path, environ={})
        self._log = folder / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._engine: sa.Engine | None = None

    def start(self) -> None:
        """Start the child."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(settings.PREFIX)}
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ra_daemon", "start", "--config", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environ,
                start_new_session=True,
            )

    def check(self) -> None:
        """The child lives.

        Raises:
            DaemonError: it ended; the message holds the last line of its log.
        """
        if self._process is None or self._process.poll() is not None:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            raise DaemonError(
                f"The node ended: {lines[-1] if lines else 'no output'}", hint=f"Read {self._log}."
            )

    def scorer_pid(self) -> int | None:
        """Process id of its scorer, or None while there is none."""
        for path in (self.config.root / "run").glob("scorer-*.pid"):
            with suppress(OSError, ValueError):
                return int(path.read_text())
        return None

    def kill_scorer(self) -> int | None:
        """SIGKILL to the scorer; its process id."""
        pid = self.scorer_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def counts(self) -> dict[str, Any]:
        """What ``ra-daemon status`` says."""
        return status.snapshot(self._open())

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of a reading query over the public views."""
        with reading(self._open()) as conn:
            return [dict(row) for row in conn.execute(sa.text(query)).mappings()]

    def stop(self) -> None:
        """Drain; after 15 seconds kill the whole group."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        time.sleep(0)

    def _open(self) -> sa.Engine:
        if self._engine is None:
            self._engine = read_only(self.config.database_url)
        return self._engine


def _configuration(port: int, pacs_port: int, web_port: int) -> str:
    """What ``ra-daemon init`` writes, on loopback only, and the modality as a second peer."""
    archive = {"name": "pacs", "ae_title": pacs.AE_TITLE}
    archive |= {"host": "127.0.0.1", "port": str(pacs_port)}
    text = init.render(AE_TITLE, port, [archive], web_port)
    text = init.set_key(text, "host", '"127.0.0.1"')
    source = f'[[peer]]\nname = "modality"\nae_title = "{modality.AE_TITLE}"\nsend = false\n\n'
    return text.replace("[[route]]", f"{source}[[route]]", 1)
