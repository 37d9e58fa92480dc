"""A node tells its service manager that it is ready, alive and stopping."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.processes import run_node
from tests.support.site import write_site

pytestmark = pytest.mark.xdist_group("node without peers")


@pytest.mark.parametrize("part", ["web", "deliver"])
def test_what_a_node_tells_its_service_manager(tmp_path: Path, part: str) -> None:
    site = write_site(tmp_path / "site", [])
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        env = {"NOTIFY_SOCKET": str(address)}
        with run_node(site, env=env, arguments=["--only", part], wait=False) as node:
            told = [manager.recv(100).decode() for _ in range(4)]
            assert told == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"], node.text()
            assert node.stop() == 0
        manager.setblocking(False)
        last = ""
        while last != "STOPPING=1":
            last = manager.recv(100).decode()
