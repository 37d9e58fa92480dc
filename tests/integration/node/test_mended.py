"""What a node refused is scored once the administrator or the sender has put it right."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support.processes import command, run_node, wait_until
from tests.support.site import (
    REPORTS,
    column,
    phantoms,
    rows,
    send,
    settled,
    sink_pacs,
    sources,
    uids,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")
SCORED = "SELECT DISTINCT sop_instance_uid FROM v1_results"
REFUSED = "SELECT sop_instance_uid, reason_code FROM v1_refusals WHERE status = 'current'"


@pytest.mark.timeout(300)
def test_a_mended_route_and_a_mended_header(tmp_path: Path) -> None:
    first, second, third = phantoms(tmp_path / "in", 3, 71, size=320)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        file = site / "ra-daemon.toml"
        right = file.read_text()
        file.write_text(right.replace('name = "all"', 'name = "all"\ncalling_ae = "NOBODY"'))
        with run_node(site) as node:
            assert set(send(node.port, [first, second]).values()) == {0}
            wait_until(lambda: len(rows(site, REFUSED)) == 2, 60)
            assert {r["reason_code"] for r in rows(site, REFUSED)} == {"no_route"}
            node.stop()
        file.write_text(right)
        with run_node(site) as node:
            words = ["jobs", "rescore", "--patient", str(dcmread(first).PatientID), "--json"]
            done = subprocess.run(
                [*command("ra-daemon"), *words, "--config", str(file)],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            assert json.loads(done.stdout)["queued"] == 1
            assert set(send(node.port, [second]).values()) == {0}
            child = dcmread(third)
            child.PatientAge = "010Y"
            send(node.port, [child])
            wait_until(lambda: [r["reason_code"] for r in rows(site, REFUSED)] == ["under_age"], 90)
            child.PatientAge, child.PatientID = "050Y", "RIGHT-1"
            send(node.port, [child])
            wait_until(lambda: rows(site, REFUSED) == [] and settled(site, 3), 90)
            node.stop()
        assert set(column(site, SCORED)) == uids([first, second, third])
        by_source = {uid: ds for ds in sink.datasets(REPORTS) for uid in sources(ds)}
        assert set(by_source) == uids([first, second, third])
        assert by_source[str(child.SOPInstanceUID)].PatientID == "RIGHT-1"
