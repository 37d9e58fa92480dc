"""Child processes of tests: started in their own group, always killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def free_port() -> int:
    """A loopback TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE = 3.0


def wait_until(predicate: Callable[[], object], timeout: float, every: float = 0.1) -> None:
    """Wait until the predicate is true; AssertionError after ``timeout`` seconds, and more.

    It is meant for an idle machine. What comes true costs no more time; what does not is waited
    for three times as long, since the machine may be shared.
    """
    deadline = time.monotonic() + PATIENCE * timeout
    while not predicate():
        if time.monotonic() > deadline:
            name = getattr(predicate, "__name__", "predicate")
            raise AssertionError(f"not within {PATIENCE * timeout:g} s: {name}")
        time.sleep(every)


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on that port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the process group that the child leads, then reap the child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)


def command(program: str) -> list[str]:
    """How to start one of our console scripts with this interpreter."""
    script = Path(sys.executable).parent / program
    return [str(script)]


@contextlib.contextmanager
def running(
    arguments: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in its own process group, output appended to ``log``; the group is always killed."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        try:
            yield process
        finally:
            kill_group(process)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNode:
    """A node under test. ``log`` holds all that it printed."""

    process: subprocess.Popen[bytes]
    config: Path
    log: Path
    port: int

    def text(self) -> str:
        """What the node printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM to the main process (drain); its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=timeout)


def _port_of(config: Path) -> int:
    import tomllib

    return int(tomllib.loads(config.read_text()).get("node", {}).get("port", 11112))


@contextlib.contextmanager
def run_node(
    config_dir: Path,
    *,
    env: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    wait: bool = True,
    timeout: float = 60.0,
) -> Iterator[RunningNode]:
    """``ra-daemon start --config CONFIG_DIR/ra-daemon.toml`` until the block ends, then SIGKILL.

    With ``wait`` the block starts when the node's DICOM port answers.
    """
    config = config_dir / "ra-daemon.toml"
    port = _port_of(config)
    log = config_dir / "node.log"
    start = [*command("ra-daemon"), "start", "--config", str(config), *arguments]
    with running(start, log, env) as process:
        node = RunningNode(process=process, config=config, log=log, port=port)
        if wait:
            wait_until(lambda: process.poll() is not None or listening(port), timeout)
            if process.poll() is not None:
                raise AssertionError(
                    f"node ended with {process.returncode}:\n{node.text()[-4000:]}"
                )
        yield node
