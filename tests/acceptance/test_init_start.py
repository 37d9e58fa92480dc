"""What the README promises: init, start, send, ask. Only commands that people type are used."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import command, free_port, run_node, wait_until
from tests.support.site import CAPTURE, REPORTS, phantoms, send, sink_pacs, sources, uids

pytestmark = pytest.mark.xdist_group("node without peers")

STATUS = frozenset(
    (
        *("received", "queued", "leased", "scored", "refused", "failed"),
        *("delivered", "committed", "pending_delivery"),
    )
)
"""Names that others build on."""

RESULTS = (
    "SELECT sop_instance_uid, value, low, high, demonstration, sr_instance_uid FROM v1_results "
    "WHERE kind = 'svdh_total' AND status = 'current'"
)


def told(*words: str | Path) -> str:
    """Standard output of ra-daemon, which must succeed."""
    done = subprocess.run(
        [*command("ra-daemon"), *map(str, words)], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_node_made_by_init_takes_images_and_answers_their_sender(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 3, 91, size=320)
    feet = phantoms(tmp_path / "feet", 1, 92, "--nonhand", "foot", size=320)
    folder = tmp_path / "site"
    with sink_pacs(tmp_path / "pacs") as sink:
        ports = ("--port", str(free_port()), "--web-port", str(free_port()))
        peer = f"main={sink.ae_title}@127.0.0.1:{sink.port}"
        told("init", folder, "--ae", "RA_DAEMON", *ports, "--pacs", peer)
        config = ("--config", folder / "ra-daemon.toml")
        told("config", "check", *config)
        with run_node(folder) as node:
            answers = send(node.port, [*files, *feet], calling=sink.ae_title)
            assert answers == dict.fromkeys(uids([*files, *feet]), 0x0000)

            def status() -> dict[str, Any]:
                return dict(json.loads(told("status", "--json", *config)))

            wait_until(lambda: status()["delivered"] == 2 * len(files), 90, every=0.5)
            counts = status()
            assert node.stop() == 0
    assert counts.keys() >= STATUS
    assert {name: counts[name] for name in STATUS} == {
        "received": 4, "queued": 0, "leased": 0, "scored": 3, "refused": 1, "failed": 0,
        "delivered": 6, "committed": 0, "pending_delivery": 0,
    }  # fmt: skip
    # A loopback peer needs no permission for demonstration models; rows still say what they are.
    rows = json.loads(told("query", RESULTS, "--json", *config))
    assert {r["sop_instance_uid"] for r in rows} == uids(files)
    assert all(r["demonstration"] and r["low"] <= r["value"] <= r["high"] for r in rows)
    assert {r["sr_instance_uid"] for r in rows} == sink.instances(REPORTS)
    for classes in (REPORTS, {CAPTURE}):
        made = [uid for ds in sink.datasets(classes) for uid in sources(ds)]
        assert sorted(made) == sorted(uids(files))
