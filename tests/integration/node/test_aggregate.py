"""Two single-hand images of a study get a total, and a report of it, after the quiet period."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support.processes import run_node, wait_until
from tests.support.site import REPORTS, column, phantoms, rows, send, sink_pacs, write_site

pytestmark = pytest.mark.xdist_group("node without peers")


def one_study(folder: Path) -> list[Path]:
    """A left and a right hand of one subject in one study."""
    left = phantoms(folder / "l", 1, 71, "--hands", "left")[0]
    right = phantoms(folder / "r", 1, 71, "--hands", "right")[0]
    return [left, right]


def test_two_images_make_one_total(tmp_path: Path) -> None:
    files = one_study(tmp_path)
    assert len({str(dcmread(f).StudyInstanceUID) for f in files}) == 1
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        with run_node(site) as node:
            send(node.port, files)
            total = "SELECT count(*) FROM v1_results WHERE kind = 'svdh_total'"
            wait_until(lambda: column(site, total) == [1], 60)
            found = {
                r["kind"]: r
                for r in rows(site, "SELECT * FROM v1_results WHERE kind LIKE 'svdh_%'")
            }
            both, left, right = (found[k] for k in ("svdh_total", "svdh_left", "svdh_right"))
            assert both["value"] == pytest.approx(left["value"] + right["value"])
            assert both["low"] <= both["value"] <= both["high"]
            assert (both["scale_max"], left["scale_max"]) == (280, 140)
            wait_until(lambda: len(sink.instances(REPORTS)) == 3, 60)
