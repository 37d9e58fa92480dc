"""What people type at a running node with a PACS beside it, when all is well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread

from ra_daemon.cli import main
from tests.support.processes import RunningNode, run_node, wait_until
from tests.support.site import SinkPacs, phantoms, send, settled, sink_pacs, uids, write_site

pytestmark = pytest.mark.xdist_group("node without peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A node that has scored one image and sent its report to the PACS."""

    node: RunningNode
    sink: SinkPacs
    image: Path

    def told(self, *words: str | Path) -> str:
        """Standard output of a command, which must succeed."""
        arguments = [*map(str, words), "--config", str(self.node.config)]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    (image,) = phantoms(folder / "in", 1, 93, size=320)
    with sink_pacs(folder / "pacs") as sink:
        site = write_site(folder / "site", [sink.peer])
        with run_node(site) as node:
            send(node.port, [image])
            wait_until(lambda: settled(site, 1), 60)
            yield Ward(node=node, sink=sink, image=image)


def test_echo_says_who_answers(ward: Ward) -> None:
    said = ward.told("echo", "sink")
    assert re.fullmatch(
        rf"sink \(SINK at 127\.0\.0\.1:{ward.sink.port}\) answers, \d\.\d{{3}} s\.\n", said
    )
    answer = json.loads(ward.told("echo", "sink", "--json"))
    assert (answer["peer"], answer["ok"]) == ("sink", True)


def test_send_delivers_a_file_as_it_is(ward: Ward) -> None:
    (answer,) = json.loads(ward.told("send", "sink", ward.image, "--json"))
    assert answer == {"file": ward.image.name, "status": "0x0000", "taken": True}
    (uid,) = uids([ward.image])
    (kept,) = (k for k in ward.sink.kept if k.sop_instance == uid)
    assert dcmread(kept.path).PixelData == dcmread(ward.image).PixelData


def test_send_delivers_a_test_object_that_names_itself_one(ward: Ward) -> None:
    before = len(ward.sink.kept)
    assert "0x0000" in ward.told("send", "sink", "--test")
    (kept,) = ward.sink.kept[before:]
    ds = dcmread(kept.path)
    assert ds.PatientID == "RA-DAEMON-TEST"
    assert ds.pixel_array.shape == (64, 256)


def test_models_show_tells_the_card_and_the_manifest(ward: Ward) -> None:
    assert ward.told("models", "show", "demo").startswith("# ")
    manifest = json.loads(ward.told("models", "show", "demo", "--json"))
    assert manifest["name"] == "demo"
    assert manifest["intended_use"] == "demonstration"
    assert re.fullmatch("[0-9a-f]{64}", manifest["digest"])


def test_doctor_finds_that_all_is_well(ward: Ward) -> None:
    found = json.loads(ward.told("doctor", "--json"))
    assert found["ok"] is True
    named = {c["name"]: c["found"] for c in found["checks"]}
    assert named["peer sink"].endswith("answers")
    assert "we answer" in named["way in"]
    assert named["reconciliation"] == "rows, files and counts agree"
    assert {c["remedy"] for c in found["checks"]} == {""}
    assert "All is well." in ward.told("doctor")


def test_trace_follows_an_accession_number_from_arrival_to_delivery(ward: Ward) -> None:
    ds = dcmread(ward.image)
    (found,) = json.loads(ward.told("trace", str(ds.AccessionNumber), "--json"))
    assert found["received"]["sop_instance_uid"] == ds.SOPInstanceUID
    assert found["received"]["calling_ae"] == "MODALITY"
    assert [job["state"] for job in found["jobs"]] == ["scored"]
    assert "svdh_total" in {result["kind"] for result in found["results"]}
    assert found["refusals"] == []
    sent = {d["kind"]: (d["destination"], d["state"]) for d in found["deliveries"]}
    assert sent == {"sr": ("sink", "sent"), "capture": ("sink", "sent")}
    words = ward.told("trace", str(ds.AccessionNumber))
    assert str(ds.SOPInstanceUID) in words
    assert "svdh_total" in words


def test_stop_ends_a_running_node(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", [])
    text = (site / "ra-daemon.toml").read_text()
    hasty = text.replace("[node]\n", "[node]\nnegotiation_timeout_s = 0.2\n")
    (site / "ra-daemon.toml").write_text(hasty)  # a drain waits for callers who say nothing
    with run_node(site, arguments=("--only", "receive")) as node:
        done = CliRunner().invoke(main, ["stop", "--config", str(node.config)])
        assert done.exit_code == 0, done.output
        assert re.search(r"Process \d+ has ended\.", done.output)
        assert node.process.wait(10) == 0
        again = CliRunner().invoke(main, ["stop", "--config", str(node.config)])
        assert (again.exit_code, again.output) == (0, "No node runs.\n")
