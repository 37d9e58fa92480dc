"""DCMTK against a running node: echoscu, dcmsend, storescu, and dsrdump of what comes back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support.paths import shared_data
from tests.support.peers import require_tool
from tests.support.processes import RunningNode, run_node, wait_until
from tests.support.site import (
    CAPTURE,
    MODALITY_AE,
    NODE_AE,
    REPORTS,
    SinkPacs,
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

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A node and its PACS, shared by the tests of this module."""

    site: Path
    node: RunningNode
    sink: SinkPacs

    def call(self, tool: str, *arguments: object, calling: str = MODALITY_AE) -> int:
        """Run a DCMTK program against the node."""
        program = require_tool(tool, "dcmtk")
        titles = ["-aet", calling, "-aec", NODE_AE]
        words = [program, *titles, "127.0.0.1", self.node.port, *arguments]
        done = subprocess.run(
            [str(w) for w in words], capture_output=True, timeout=120, check=False
        )
        return done.returncode

    def received(self) -> set[str]:
        """SOP Instance UIDs that the node has rows for."""
        return set(column(self.site, "SELECT sop_instance_uid FROM v1_instances"))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("dcmtk")
    with sink_pacs(folder / "pacs") as sink:
        site = write_site(folder / "site", [sink.peer])
        with run_node(site) as node:
            yield Hospital(site=site, node=node, sink=sink)


def test_echo(hospital: Hospital) -> None:
    assert hospital.call("echoscu") == 0


def test_strangers_are_turned_away(hospital: Hospital) -> None:
    assert hospital.call("echoscu", calling="STRANGER") != 0


@pytest.mark.parametrize(("tool", "seed"), [("dcmsend", 31), ("storescu", 32)])
def test_radiographs_come_back_as_reports(
    hospital: Hospital, tmp_path: Path, tool: str, seed: int
) -> None:
    files = phantoms(tmp_path, 2, seed)
    before = len(hospital.received())
    hospital.call(tool, *files)
    wait_until(lambda: settled(hospital.site, before + len(files)), 90, every=0.3)
    sent = uids(files)
    assert sent <= hospital.received()
    for classes in (REPORTS, {CAPTURE}):
        made = [uid for ds in hospital.sink.datasets(classes) for uid in sources(ds)]
        assert sorted(uid for uid in made if uid in sent) == sorted(sent)


def test_dcmtk_reads_the_report(hospital: Hospital, tmp_path: Path) -> None:
    files = phantoms(tmp_path, 1, 33)
    before = len(hospital.received())
    hospital.call("dcmsend", *files)
    wait_until(lambda: settled(hospital.site, before + 1), 90, every=0.3)
    (sent,) = uids(files)
    report = next(d for d in hospital.sink.datasets(REPORTS) if sent in sources(d))
    path = hospital.sink.folder / f"{report.SOPInstanceUID}.dcm"
    program = require_tool("dsrdump", "dcmtk")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("E:")]
    (value,) = column(
        hospital.site,
        f"SELECT value FROM v1_results WHERE kind = 'svdh_total' AND sop_instance_uid = '{sent}'",
    )
    told = re.findall(r'SvdH score, both hands, range 0-280"\)="([\d.]+)"', done.stdout)
    assert [float(t) for t in told] == [pytest.approx(value, abs=1e-4)]
    assert "demonstration" in done.stdout.lower()
    study = dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    assert report.StudyInstanceUID == study


def test_real_radiographs_are_received_and_refused(hospital: Hospital) -> None:
    files = sorted(shared_data("dicom_cr_dx").glob("*.dcm"))
    assert files
    before = len(hospital.received())
    wanted = uids(files)
    # Compressed as they are: DCMTK's own senders need a plug-in for JPEG 2000.
    answers = send(hospital.node.port, files)
    assert {uid for uid, status in answers.items() if status == 0x0000} == wanted
    wait_until(lambda: wanted <= hospital.received(), 60)
    wait_until(lambda: settled(hospital.site, before + len(wanted)), 60, every=0.3)
    refusals = {r["sop_instance_uid"]: r for r in rows(hospital.site, "SELECT * FROM v1_refusals")}
    assert wanted <= set(refusals)
    assert all(refusals[uid]["reason_code"] and refusals[uid]["reason"] for uid in wanted)
    scored = set(column(hospital.site, "SELECT sop_instance_uid FROM v1_results"))
    assert not wanted & scored
