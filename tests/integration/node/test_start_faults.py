"""A node that cannot serve its port says why and ends; it never claims to be ready."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.certificates import authority, certificate
from tests.support.processes import command, free_port, listening, wait_until

pytestmark = pytest.mark.xdist_group("node")


def write(folder: Path, port: int, tls: str = "") -> Path:
    path = folder / "ra-daemon.toml"
    path.write_text(
        f'[store]\nroot = "store"\n[node]\nhost = "127.0.0.1"\nport = {port}\n'
        f"[web]\nenabled = false\n{tls}"
    )
    return path


def start(config: Path) -> subprocess.CompletedProcess[str]:
    words = [*command("ra-daemon"), "start", "--config", str(config)]
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = start(write(tmp_path, port))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "node.port" in done.stderr  # the remedy
    assert "node.started" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_node_does_not_share_the_port(tmp_path: Path) -> None:
    """Receivers of one node share their port; two nodes would split the images between them."""
    port = free_port()
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = write(tmp_path / "first", port)
    running = subprocess.Popen([*command("ra-daemon"), "start", "--config", str(first)])
    try:
        wait_until(lambda: listening(port), 60)
        done = start(write(tmp_path / "second", port))
        assert done.returncode == 1
        assert "another node" in done.stderr
        assert listening(port)
    finally:
        running.terminate()
        assert running.wait(60) == 0


def test_an_address_that_is_not_ours_is_named_as_such(tmp_path: Path) -> None:
    config = write(tmp_path, free_port())
    config.write_text(config.read_text().replace("127.0.0.1", "203.0.113.7"))
    done = start(config)
    assert done.returncode == 1
    assert "node.host" in done.stderr


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    tls = '[tls]\nenabled = true\ncertificate = "none.pem"\nkey = "none.key"\n'
    config = write(tmp_path, free_port(), tls)
    done = start(config)
    assert done.returncode == 3
    assert "[tls]" in done.stderr
    assert "node.started" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.peer
def test_doctor_looks_at_the_tls_files(tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "node", authority(tmp_path))
    config = write(tmp_path, free_port(), f"[tls]\nenabled = true\ncertificate = {str(made)!r}\n"
                   f"key = {str(key)!r}\n")  # fmt: skip

    def told() -> dict[str, bool]:
        words = [*command("ra-daemon"), "doctor", "--json", "--config", str(config)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
        return {c["name"]: c["ok"] for c in json.loads(done.stdout)["checks"]}

    key.chmod(0o644)
    assert (told()["tls"], told()["tls key"]) == (True, False)
    key.chmod(0o600)
    assert told()["tls key"]
    key.write_text("no key")
    assert not told()["tls"]
