"""Files that a bad disk changes before they are scored, or reported, in a real node."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.config import Config, Route
from ra_daemon.dicom.read import read_header
from ra_daemon.domain import Scored
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.pipeline import Pipeline
from ra_engine.types import Measurement
from tests.support.processes import run_node, wait_until
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
SCORES = (
    "SELECT sop_instance_uid, value FROM v1_results WHERE status = 'current' "
    "AND kind LIKE 'svdh_%' AND joint = '' AND kind <> 'svdh_member'"
)
CODE = "instance.file_damaged"


def true_scores(files: list[Path]) -> set[tuple[str, float]]:
    """What the pipeline says of the files as they were sent."""
    pipeline = Pipeline(Config(), progress=lambda _stage, _blame: None)
    found = set()
    for number, file in enumerate(files):
        header = read_header(file)
        task = ScoreTask(job_id=number, path=str(file), header=header, route=Route(name="all"))
        ((_, outcome),) = pipeline.run([task])
        assert isinstance(outcome, Scored)
        found |= {
            (header.sop_instance_uid, round(f.value, 3))
            for f in outcome.findings
            if isinstance(f, Measurement) and f.kind != "svdh_member" and not f.joint
        }
    return found


def scores(site: Path) -> set[tuple[str, float]]:
    return {(r["sop_instance_uid"], round(r["value"], 3)) for r in rows(site, SCORES)}


def kept(site: Path, file: Path) -> Path:
    """The node's file of an image."""
    uid = dcmread(file, stop_before_pixels=True).SOPInstanceUID
    (path,) = column(site, f"SELECT path FROM instance WHERE sop_instance_uid = '{uid}'")
    return site / "store" / str(path)


def zero(path: Path) -> None:
    """Zero 8 KB of the pixels in the middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = bytes(8192)
    path.write_bytes(data)


def put_in(site: Path, files: list[Path], parts: str, done: str) -> None:
    """Send to a node of those parts, until so many rows of the query are there."""
    with run_node(site, arguments=("--only", parts)) as node:
        assert set(send(node.port, files).values()) == {0}
        wait_until(lambda: column(site, done) == [len(files)], 90)
        assert node.stop() == 0


@pytest.mark.timeout(400)
def test_no_damaged_file_is_scored_or_reported_and_the_same_image_mends_it(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 3, 83)
    early, gone, late = files
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        put_in(site, [late], "receive,score", "SELECT count(*) FROM report")
        zero(kept(site, late))
        held = "SELECT count(*) FROM v1_jobs WHERE state = 'queued'"
        put_in(site, [early, gone], "receive", held)
        zero(kept(site, early))
        kept(site, gone).unlink()
        with run_node(site) as node:
            failed = f"SELECT count(*) FROM job WHERE state = 'failed' AND cause = '{CODE}'"
            wait_until(lambda: column(site, failed) == [2], 90)
            lost = f"SELECT count(*) FROM report WHERE state = 'failed' AND cause = '{CODE}'"
            wait_until(lambda: column(site, lost) == [1], 60)
            assert {r["sop_instance_uid"] for r in rows(site, SCORES)} == uids([late])
            assert rows(site, "SELECT * FROM v1_refusals") == []
            assert sink.instances() == set()
            assert set(send(node.port, files).values()) == {0}
            wait_until(lambda: settled(site, 3), 90)
            wait_until(lambda: len(sink.datasets(REPORTS)) == 3, 60)
            assert node.stop() == 0
            told = node.text()
        assert scores(site) == true_scores(files)
        assert {uid for ds in sink.datasets(REPORTS) for uid in sources(ds)} == uids(files)
        assert all(len(contents) == 1 for contents in sink.versions().values())
        assert told.count("instance.file_mended") == 3
