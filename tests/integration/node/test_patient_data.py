"""Marker names in every patient field: none in logs, metrics or exceptions of a full run."""

from __future__ import annotations

import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support.processes import RunningNode, run_node, wait_until
from tests.support.site import phantoms, send, settled, sink_pacs, write_site

pytestmark = pytest.mark.xdist_group("node")

PEOPLE = (
    "PatientName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
)
TEXTS = (
    "PatientID",
    "OtherPatientNames",
    "PatientComments",
    "AdditionalPatientHistory",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "StationName",
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "ProtocolName",
    "StudyID",
)
BIRTH = "19480517"


def marked(dataset: Dataset, number: int) -> Dataset:
    """A copy with a marker in every field that may tell who the patient is."""
    for keyword in (*PEOPLE, *TEXTS):
        value = f"ZQX{number}{keyword}"[:16]
        setattr(dataset, keyword, f"{value}^ZQXGIVEN" if keyword in PEOPLE else value)
    dataset.PatientBirthDate = BIRTH
    request = Dataset()
    request.RequestedProcedureDescription = "ZQXREQUEST"
    dataset.RequestAttributesSequence = [request]
    return dataset


def broken(dataset: Dataset) -> Dataset:
    """Pixel data that ends early: decoding fails with the identifiers at hand."""
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 3 * 2 // 2 * 2]
    return dataset


def malformed(dataset: Dataset) -> Dataset:
    """Values that no parser likes: libraries quote them in their warnings."""
    dataset.add_new(0x00101010, "AS", "ZQXAGE")
    dataset.add_new(0x00080020, "DA", "ZQXDATE")
    dataset.add_new(0x00101030, "LO", "ZQXWEIGHT")
    return dataset


def metrics(node: RunningNode) -> str:
    """What /metrics says; "" when the node has no pages."""
    web = tomllib.loads(node.config.read_text())["web"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web['port']}/metrics", timeout=10) as page:
            return str(page.read().decode())
    except urllib.error.URLError:
        return ""


@pytest.mark.parametrize("down", [False, True], ids=["pacs-up", "pacs-down"])
def test_no_patient_data_leaves_by_logs_or_metrics(tmp_path: Path, *, down: bool) -> None:
    images = [marked(dcmread(p), n) for n, p in enumerate(phantoms(tmp_path / "in", 4, 41))]
    images[1] = broken(images[1])
    images[2] = malformed(images[2])
    with sink_pacs(tmp_path / "pacs") as sink:
        peer = sink.peer
        if down:
            peer = type(peer)(name="sink", ae_title="SINK", port=9)
        site = write_site(tmp_path / "site", [peer], tables='[log]\nlevel = "debug"')
        with run_node(site) as node:
            answers = send(node.port, images)
            assert set(answers.values()) == {0x0000}
            if down:
                wait_until(lambda: "settled" if _verdicts(site) == len(images) else "", 90)
            else:
                wait_until(lambda: settled(site, len(images)), 90)
            page = metrics(node)
            node.stop()
            text = node.text() + page
    assert "instance.received" in text
    found = [line for line in text.splitlines() if "ZQX" in line or BIRTH in line]
    assert found == []
    for image in images:
        assert str(image.SOPInstanceUID) not in text, "UIDs are logged hashed"


def _verdicts(site: Path) -> int:
    from tests.support.site import column

    query = "SELECT sop_instance_uid FROM v1_results UNION SELECT sop_instance_uid FROM v1_refusals"
    failed = column(site, "SELECT sop_instance_uid FROM v1_jobs WHERE state = 'failed'")
    return len(set(column(site, query)) | set(failed))
