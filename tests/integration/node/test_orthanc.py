"""A real Orthanc routes radiographs to the node and gets report and heatmap back."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.integration.node.orthanc import orthanc
from tests.support.processes import run_node, wait_until
from tests.support.site import CAPTURE, column, phantoms, rows, send_to, settled, uids, write_site

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]

SR = "1.2.840.10008.5.1.4.1.1.88.34"


def test_orthanc_gets_report_and_heatmap_into_the_same_study(tmp_path: Path) -> None:
    hands = phantoms(tmp_path / "hands", 4, seed=21)
    feet = phantoms(tmp_path / "feet", 1, 5, "--nonhand", "foot")
    images = uids(hands) | uids(feet)
    studies = {str(dcmread(p, stop_before_pixels=True).StudyInstanceUID) for p in hands}
    site = tmp_path / "site"
    write_site(site, [])
    with orthanc(tmp_path / "orthanc", _port(site)) as pacs:
        send_to(site, "orthanc", pacs.peer.toml())
        with run_node(site) as node:
            for path in [*hands, *feet]:
                pacs.rest("/instances", path.read_bytes())
            wait_until(lambda: settled(site, len(images)), 90, every=0.3)

            assert set(column(site, "SELECT sop_instance_uid FROM v1_instances")) == images
            refused = column(site, "SELECT sop_instance_uid FROM v1_refusals")
            assert set(refused) == uids(feet)
            made = {r["sop_instance_uid"]: r for r in rows(site, "SELECT * FROM v1_deliveries")}
            reports, captures = pacs.uids(SOPClassUID=SR), pacs.uids(SOPClassUID=CAPTURE)
            assert reports | captures == set(made)
            assert pacs.uids() == images | set(made)
            assert len(reports) == len(captures) == len(hands)
            for modality in ("SR", "OT"):
                found = pacs.studies_with(ModalitiesInStudy=modality)
                assert found <= studies
            assert pacs.studies_with(ModalitiesInStudy="SR") == studies

            _own_outputs_come_back(site, pacs, images)
            assert node.process.poll() is None


def _own_outputs_come_back(site: Path, pacs: object, images: set[str]) -> None:
    """Send a capture and a report back to the node: neither is scored, nothing new is made."""
    before = column(site, "SELECT count(*) FROM v1_deliveries")
    capture = pacs.instances(SOPClassUID=CAPTURE)[0]["ID"]  # type: ignore[attr-defined]
    pacs.send_to_node(capture)  # type: ignore[attr-defined]
    inbox = site / "store" / "inbox"
    wait_until(lambda: not list(inbox.glob("*.dcm")), 30)
    jobs = set(column(site, "SELECT sop_instance_uid FROM v1_jobs"))
    assert jobs == images
    assert column(site, "SELECT count(*) FROM v1_deliveries") == before


def _port(site: Path) -> int:
    import tomllib

    return int(tomllib.loads((site / "ra-daemon.toml").read_text())["node"]["port"])
