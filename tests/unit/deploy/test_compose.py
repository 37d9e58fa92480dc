"""The bench site: who may read which file, and commands that its images can run."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY
from tests.support.processes import free_port

COMPOSE = REPOSITORY / "deploy" / "compose"
SITE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, Any] = SITE["services"]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter, with the script in it."""
    with tempfile.TemporaryDirectory(prefix="compose-") as name:
        Path(name).chmod(0o755)
        shutil.copy(COMPOSE / "make-secrets.sh", name)
        yield Path(name)


def make_secrets(folder: Path, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", folder / "make-secrets.sh"], user=user, capture_output=True, text=True, check=False
    )


def healthy(service: str, port: int, real: int) -> bool:
    """Run a service's health check as compose would, on another port than its ``real`` one.

    Its ``sh`` is the plain one of Debian's images, its ``python`` that of these tests.
    """
    kind, *words = SERVICES[service]["healthcheck"]["test"]
    assert any(str(real) in word for word in words)
    words = [word.replace(str(real), str(port)) for word in words]
    if kind == "CMD-SHELL":
        words = [shutil.which("dash") or "sh", "-c", *words]
    else:
        assert kind == "CMD"
    if words[0] == "python":
        words[0] = sys.executable
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0


@as_root
def test_each_secret_belongs_to_the_user_of_the_service_that_reads_it(folder: Path) -> None:
    done = make_secrets(folder)
    assert done.returncode == 0, done.stderr
    for service in SERVICES.values():
        for name in service.get("secrets", ()):
            path = folder / SITE["secrets"][name]["file"]
            seen = path.stat()
            assert f"{seen.st_uid}:{seen.st_gid}" == service["user"], name
            assert seen.st_mode & 0o777 == 0o600, name  # libpq takes no pgpass of another mode
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    password = (folder / "secrets" / "database_password").read_text()
    assert len(password) == 48
    line = f"database:5432:radaemon:radaemon:{password}\n"
    assert (folder / "secrets" / "pgpass").read_text() == line


@as_root
def test_a_password_that_exists_is_kept_and_handed_over(folder: Path) -> None:
    (folder / "secrets").mkdir()
    kept = folder / "secrets" / "database_password"
    kept.write_text("chosen\n")
    assert make_secrets(folder).returncode == 0
    assert kept.read_text() == "chosen\n"
    assert kept.stat().st_uid == 999
    assert (folder / "secrets" / "pgpass").read_text().endswith(":chosen\n")


@as_root
def test_without_root_nothing_starts_and_the_remedy_is_told(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    done = make_secrets(folder, NOBODY)
    assert done.returncode != 0, "compose must not go up with files that nobody there can read"
    assert "sudo sh" in done.stderr
    assert make_secrets(folder).returncode == 0, "the remedy"
    assert (folder / "secrets" / "pgpass").stat().st_uid == 10001


@pytest.mark.parametrize("up", [True, False])
def test_orthanc_is_healthy_while_its_port_listens(up: bool) -> None:
    port = free_port()
    with socket.socket() as listener:
        if up:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        assert healthy("orthanc", port, 4242) is up


class _Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.mark.parametrize("status", [200, 503])
def test_the_node_is_healthy_while_it_is_ready(status: int) -> None:
    page = HTTPServer(("127.0.0.1", 0), type("Page", (_Ready,), {"status": status}))
    thread = threading.Thread(target=page.serve_forever, daemon=True)
    thread.start()
    try:
        assert healthy("ra-daemon", page.server_port, 8042) is (status == 200)
    finally:
        page.shutdown()
        page.server_close()
        thread.join(5)


def test_volumes_are_handed_to_users_whose_image_does_not_own_them() -> None:
    """Images of PostgreSQL and of ours make their folder for their user; Orthanc's does not."""
    orthanc = SERVICES["orthanc"]
    (volume,) = orthanc["volumes"]
    (needed,) = orthanc["depends_on"]
    giver = SERVICES[needed]
    assert orthanc["depends_on"][needed] == {"condition": "service_completed_successfully"}
    assert giver["volumes"] == [volume]
    assert shlex.join([*giver["entrypoint"], *giver["command"]]) == (
        f"chown {orthanc['user']} {volume.partition(':')[2]}"
    )
    assert (giver["user"], giver["cap_drop"], giver["cap_add"]) == ("0:0", ["ALL"], ["CHOWN"])
    assert giver["restart"] == "no"
