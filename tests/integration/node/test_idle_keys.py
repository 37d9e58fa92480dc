"""A node starts with what its configuration cannot have meant, and does the rest of its work."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.processes import command, run_node, wait_until
from tests.support.site import (
    Peer,
    column,
    phantoms,
    send,
    settled,
    sink_pacs,
    web_port,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of that node."""
    line = [*command("ra-daemon"), *words, "--config", str(site / "ra-daemon.toml")]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_a_node_with_every_idle_key_works_and_check_tells_each(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 1, 66)
    blank = Peer(name="blank", ae_title=" ", port=104, send=False).toml().replace("127.0.0.1", "")
    nothing = '[[route]]\nname = "kept"\ncalling_ae = " "\ncalled_ae = ""\n'
    with sink_pacs(tmp_path / "pacs") as sink:
        route = f'scorers = ["svdh", "gradcam", "svdh"]\n{nothing}'
        site = write_site(tmp_path / "site", [sink.peer], tables=blank, route=route)
        file = site / "ra-daemon.toml"
        text = file.read_text().replace('["sink"]', '["sink", "sink"]')
        text = text.replace("[schedule]\n", '[schedule]\noff_hours = "08:00-08:00"\n')
        text = text.replace("[node]\n", '[node]\nmore_titles = [" "]\n')
        with run_node(_on_the_dicom_port(file, text, web_port(site))) as node:
            assert set(send(node.port, files).values()) == {0}
            wait_until(lambda: settled(site, len(files)), 90)
            wait_until(lambda: len(sink.kept) == 2, 30)
            assert run(site, "stop").returncode == 0
    assert set(Counter(kept.sop_instance for kept in sink.kept).values()) == {1}
    assert column(site, "SELECT count(*) FROM report WHERE state = 'failed'") == [0]
    assert "web.not_started" in node.text()
    checked = run(site, "config", "check")
    assert checked.returncode == 3
    for told in (
        "there are no pages",
        "ends when it begins",
        "more_titles has a title of spaces",
        "destinations has 'sink' twice",
        "scorers has 'svdh' twice",
        "route 'kept': deliver = 'send' without destinations",
        "route 'kept': calling_ae is empty",
        "peer 'blank': ae_title is of spaces",
        "peer 'blank': host and networks are empty",
    ):
        assert told in checked.stderr


def _on_the_dicom_port(file: Path, text: str, web: int) -> Path:
    """The file with the pages on node.port; its folder."""
    port = next(line for line in text.splitlines() if line.startswith("port = "))
    file.write_text(text.replace(f"[web]\nport = {web}", f"[web]\n{port}"))
    return file.parent
