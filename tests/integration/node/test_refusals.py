"""A refused hand comes back as a report where the route says so, and stays a row elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from ra_daemon.dicom.codes import REASONS
from ra_daemon.domain import Reason, Refused
from tests.support.processes import run_node, wait_until
from tests.support.site import (
    REPORTS,
    Peer,
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
from tests.support.validators import dciodvfy_errors, pixelmed_errors

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]
QUIET = Peer(name="quiet", ae_title="QUIET", port=105, send=False)
QUIET_ROUTE = '[[route]]\nname = "quiet"\ncalling_ae = "QUIET"\ndestinations = ["sink"]\n'


def child(path: Path) -> Dataset:
    """A hand whose tags say that its owner is ten years old."""
    ds = dcmread(path)
    ds.PatientAge = "010Y"
    return ds


def test_refusals_go_back_where_the_route_says_so(tmp_path: Path) -> None:
    hands = phantoms(tmp_path / "hands", 2, 61)
    wrists = phantoms(tmp_path / "wrists", 2, 62, "--nonhand", "wrist")
    feet = phantoms(tmp_path / "feet", 1, 63, "--nonhand", "foot")
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer], tables=QUIET.toml(), route=QUIET_ROUTE)
        file = site / "ra-daemon.toml"
        loud = 'name = "all"\ncalling_ae = "MODALITY"\nrefusals = true'
        file.write_text(file.read_text().replace('name = "all"', loud))
        with run_node(site) as node:
            told = [child(hands[0]), dcmread(wrists[0]), dcmread(feet[0])]
            silent = [child(hands[1]), dcmread(wrists[1])]
            assert set(send(node.port, told).values()) == {0}
            assert set(send(node.port, silent, calling="QUIET").values()) == {0}
            wait_until(lambda: settled(site, 5), 90, every=0.3)
            node.stop()
        refusals = {r["sop_instance_uid"]: r for r in rows(site, "SELECT * FROM v1_refusals")}
        assert set(refusals) == uids([*hands, *wrists, *feet])
        codes = {str(d.SOPInstanceUID): c for d, c in zip(
            [*told, *silent],
            ["under_age", "wrist_only", "not_a_hand", "under_age", "wrist_only"],
            strict=True,
        )}  # fmt: skip
        assert {uid: r["reason_code"] for uid, r in refusals.items()} == codes
        reports = sink.datasets(REPORTS)
        reported = {uid: r for r in reports for uid in sources(r)}
        # The foot was routed here by mistake: a row, and no report to anybody.
        assert set(reported) == {str(d.SOPInstanceUID) for d in told[:2]}
        for source in told[:2]:
            report = reported[str(source.SOPInstanceUID)]
            refusal = refusals[str(source.SOPInstanceUID)]
            assert report.StudyInstanceUID == source.StudyInstanceUID
            assert refusal["sr_instance_uid"] == report.SOPInstanceUID
            values = [str(e.value) for e in report.iterall() if e.keyword == "CodeValue"]
            assert REASONS[Reason(refusal["reason_code"])] in values
            texts = [str(e.value) for e in report.iterall() if e.keyword == "TextValue"]
            # what the code does not say stands as text, in full
            plain = Refused(reason=Reason(refusal["reason_code"])).text
            detail = refusal["reason"].removeprefix(plain).strip()
            assert detail in texts or not detail
        assert len(sink.kept) == 2
        assert column(site, "SELECT DISTINCT state FROM v1_deliveries") == ["sent"]
        paths = [sink.folder / f"{r.SOPInstanceUID}.dcm" for r in reports]
        assert {p.name: dciodvfy_errors(p) for p in paths} == {p.name: [] for p in paths}
        assert pixelmed_errors(paths) == {p.name: [] for p in paths}


def test_an_image_whose_route_is_gone_is_refused_until_one_takes_it(tmp_path: Path) -> None:
    (hand,) = phantoms(tmp_path / "hands", 1, 64)
    site = write_site(tmp_path / "site", [])
    file = site / "ra-daemon.toml"
    taken = file.read_text()
    queued = "SELECT count(*) FROM v1_jobs WHERE state = 'queued'"
    with run_node(site, arguments=("--only", "receive")) as node:
        assert set(send(node.port, [hand]).values()) == {0}
        wait_until(lambda: column(site, queued) == [1], 90)
        assert node.stop() == 0
    file.write_text(taken.replace('name = "all"', 'name = "other"\ncalling_ae = "NOBODY"'))
    with run_node(site) as node:
        wait_until(lambda: column(site, "SELECT reason_code FROM v1_refusals") == ["no_route"], 90)
        assert node.stop() == 0
    assert rows(site, "SELECT * FROM v1_results") == []
    file.write_text(taken)
    with run_node(site) as node:
        assert set(send(node.port, [hand]).values()) == {0}
        scored = "SELECT DISTINCT sop_instance_uid FROM v1_results WHERE status = 'current'"
        wait_until(lambda: set(column(site, scored)) == uids([hand]), 90)
        assert node.stop() == 0
