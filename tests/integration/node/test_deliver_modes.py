"""``deliver = hold``: nothing leaves before its release; ``database-only``: rows and no object."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.processes import RunningNode, command, run_node, wait_until
from tests.support.site import (
    REPORTS,
    column,
    phantoms,
    rows,
    send,
    settled,
    sink_pacs,
    uids,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")


def deliver(site: Path, mode: str) -> None:
    file = site / "ra-daemon.toml"
    file.write_text(file.read_text().replace('name = "all"', f'name = "all"\ndeliver = "{mode}"'))


def release(node: RunningNode, *options: str) -> str:
    words = [*command("ra-daemon"), "jobs", "release", "--config", str(node.config), *options]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stderr


def test_held_results_leave_once_after_their_release(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 2, 64)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        deliver(site, "hold")
        with run_node(site) as node:
            assert set(send(node.port, files).values()) == {0}
            held = "SELECT count(*) FROM v1_deliveries WHERE state = 'held'"
            wait_until(lambda: column(site, held) == [2 * len(files)], 90)
            objects = {
                r["u"]: r["h"]
                for r in rows(site, "SELECT sop_instance_uid u, sha256 h FROM v1_deliveries")
            }
            assert node.stop() == 0
        with run_node(site) as node:  # a restart releases nothing
            assert column(site, held) == [2 * len(files)]
            assert sink.kept == []
            first = column(site, "SELECT study_instance_uid FROM v1_instances ORDER BY 1")[0]
            assert "2 held" in release(node, "--study", first)
            wait_until(lambda: len(sink.kept) == 2, 60)
            assert "0 held" in release(node, "--destination", "nobody")
            assert "2 held" in release(node)
            wait_until(lambda: settled(site, len(files)), 60)
            assert "0 held" in release(node)
        assert Counter(k.sop_instance for k in sink.kept) == dict.fromkeys(objects, 1)
        composed = {p.stem for p in (site / "store" / "objects").rglob("*.dcm")}
        assert set(objects.values()) <= composed
        assert len(sink.instances(REPORTS)) == len(files)
        audited = column(site, "SELECT what FROM audit")
        assert audited.count("deliveries.release") == 4


def test_database_only_makes_rows_and_nothing_else(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 1, 65)
    wrists = phantoms(tmp_path / "wrists", 1, 66, "--nonhand", "wrist")
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        deliver(site, 'database-only"\nrefusals = true\nlane = "normal')
        with run_node(site) as node:
            assert set(send(node.port, [*files, *wrists]).values()) == {0}
            wait_until(lambda: settled(site, 2), 90)
            assert node.stop() == 0
        assert set(column(site, "SELECT sop_instance_uid FROM v1_results")) == uids(files)
        assert set(column(site, "SELECT sop_instance_uid FROM v1_refusals")) == uids(wrists)
        assert column(site, "SELECT count(*) FROM report") == [0]
        assert column(site, "SELECT count(*) FROM v1_deliveries") == [0]
        assert sink.kept == []
