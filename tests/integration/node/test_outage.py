"""A PACS that is down for a while: everything arrives later, once. Own output is not scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.store.tally import SEND_FAILED, totals
from tests.support.processes import free_port, run_node, wait_until
from tests.support.site import (
    CAPTURE,
    REPORTS,
    Peer,
    column,
    phantoms,
    send,
    settled,
    sink_pacs,
    sources,
    uids,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")


def test_a_pacs_that_was_down_gets_everything_once(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 3, 51)
    port = free_port()
    peer = Peer(name="sink", ae_title="SINK", port=port)
    site = write_site(tmp_path / "site", [peer])
    with run_node(site) as node:
        assert set(send(node.port, files)) == uids(files)
        pending = "SELECT count(*) FROM v1_deliveries WHERE state IN ('pending', 'sending')"
        wait_until(lambda: column(site, pending) == [2 * len(files)], 90)
        wait_until(lambda: totals(site / "store", SEND_FAILED).get("sink", 0) > 0, 30)
        with sink_pacs(tmp_path / "pacs", port=port) as sink:
            wait_until(lambda: settled(site, len(files)), 60)
            counts = Counter(kept.sop_instance for kept in sink.kept)
            assert set(counts.values()) == {1}
            for classes in (REPORTS, {CAPTURE}):
                made = [uid for ds in sink.datasets(classes) for uid in sources(ds)]
                assert sorted(made) == sorted(uids(files))

            again = [dcmread(kept.path) for kept in sink.kept if kept.sop_class == CAPTURE]
            before = column(site, "SELECT count(*) FROM v1_deliveries")
            send(node.port, again)
            inbox = site / "store" / "inbox"
            wait_until(lambda: not list(inbox.glob("*.dcm")), 30)
            assert set(column(site, "SELECT sop_instance_uid FROM v1_results")) == uids(files)
            assert column(site, "SELECT count(*) FROM v1_deliveries") == before


def test_the_same_image_twice_is_one_image(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 2, 52)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        with run_node(site) as node:
            for _ in range(3):
                assert set(send(node.port, files).values()) == {0x0000}
            wait_until(lambda: settled(site, len(files)), 90)
            inbox = site / "store" / "inbox"
            wait_until(lambda: not list(inbox.glob("*.dcm")), 30)
        with run_node(site) as node:
            assert set(send(node.port, files).values()) == {0x0000}
            wait_until(lambda: not list((site / "store" / "inbox").glob("*.dcm")), 30)
            node.stop()
        assert len(sink.instances(REPORTS)) == len(files)
        assert len(sink.kept) == 2 * len(files)
        assert column(site, "SELECT count(*) FROM v1_jobs") == [len(files)]
