"""Marker names in every patient field: none in logs, metrics or exceptions of a full run."""

from __future__ import annotations

import tomllib
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support.processes import RunningNode, run_node, wait_until
from tests.support.site import column, phantoms, rows, send, settled, sink_pacs, write_site

pytestmark = pytest.mark.xdist_group("node without peers")

OTHERS = (
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName"),
    *("NameOfPhysiciansReadingStudy", "RequestingPhysician", "ConsultingPhysicianName"),
    *("AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName"),
    *("StudyDescription", "SeriesDescription", "ImageComments", "ProtocolName", "StudyID"),
    *("AdmissionID", "CurrentPatientLocation", "PatientState", "VisitComments"),
    *("RequestedProcedureDescription", "ReasonForStudy", "RequestAttributesSequence"),
)
"""Beside the group of the patient: who, where, and free text that may hold a name."""

WORDS = {
    "PN": "{}^ZQXGIVEN",
    "LO": "{}",
    "SH": "{}",
    "LT": "{}",
    "ST": "{}",
    "UT": "{}",
    "UC": "{}",
}
BIRTH = "19480517"


def patient_fields() -> list[str]:
    """Every element of group 0010 in the dictionary that takes text, and ``OTHERS``."""
    group = [
        pydicom.datadict.keyword_for_tag(tag)
        for tag, entry in pydicom.datadict.DicomDictionary.items()
        if tag >> 16 == 0x0010 and entry[0] in WORDS
    ]
    return [*sorted(filter(None, group)), *OTHERS]


def marked(dataset: Dataset, number: int) -> Dataset:
    """A copy with a marker in every field that may tell who the patient is."""
    for keyword in patient_fields():
        vr = pydicom.datadict.dictionary_VR(keyword)
        if vr in WORDS:
            value = WORDS[vr].format(f"ZQX{number}{keyword}"[:16])
            setattr(dataset, keyword, [value] if keyword.startswith("Other") else value)
    dataset.PatientBirthDate = BIRTH
    request = Dataset()
    request.RequestedProcedureDescription = "ZQXREQUEST"
    dataset.RequestAttributesSequence = [request]
    other = Dataset()
    other.PatientID = "ZQXOTHERID"
    dataset.OtherPatientIDsSequence = [other]
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


def served(node: RunningNode) -> dict[str, str]:
    """What the node tells by HTTP, by path."""
    web = tomllib.loads(node.config.read_text())["web"]
    pages = {}
    for path in ("metrics", "healthz", "readyz", ""):
        with urllib.request.urlopen(f"http://127.0.0.1:{web['port']}/{path}", timeout=10) as page:
            pages[path] = str(page.read().decode())
    return pages


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
            pages = served(node)
            node.stop()
            text = node.text() + "".join(pages.values())
    # The run is a full one: some are scored, one is refused, all are counted.
    assert "instance.received" in text
    assert "ra_jobs" in pages["metrics"]
    assert len(column(site, "SELECT DISTINCT sop_instance_uid FROM v1_results")) >= 2
    refused = rows(site, "SELECT * FROM v1_refusals")
    assert [r["reason_code"] for r in refused] == ["unreadable"]
    assert refused[0]["sop_instance_uid"] == images[1].SOPInstanceUID
    names = column(site, "SELECT DISTINCT patient_id FROM v1_instances")
    assert [n for n in names if "ZQX" in n], "the markers did arrive"
    found = [line for line in text.splitlines() if "ZQX" in line or BIRTH in line]
    assert found == []
    for image in images:
        assert str(image.SOPInstanceUID) not in text, "UIDs are logged hashed"


def _verdicts(site: Path) -> int:
    query = "SELECT sop_instance_uid FROM v1_results UNION SELECT sop_instance_uid FROM v1_refusals"
    failed = column(site, "SELECT sop_instance_uid FROM v1_jobs WHERE state = 'failed'")
    return len(set(column(site, query)) | set(failed))
