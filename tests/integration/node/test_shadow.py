"""A second bundle: it scores beside the first, is compared, activated, and supersedes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from ra_engine.bundle import write_sums
from ra_plugins import bundles
from tests.support.processes import command, run_node, wait_until
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

TOTALS = "SELECT * FROM v1_results WHERE kind = 'svdh_total' ORDER BY outcome_id"


def second_bundle(folder: Path) -> Path:
    """The demonstration bundle with other name, version and preprocessing: other scores."""
    shutil.copytree(bundles.demo(), folder)
    manifest = folder / "manifest.toml"
    text = manifest.read_text()
    for old, new in (
        ('name = "demo"', 'name = "second"'),
        ('version = "', 'version = "9.'),
        ("percentiles = [0.5, 99.7]", "percentiles = [2.0, 98.0]"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    manifest.write_text(text)
    write_sums(folder)
    return folder


def tool(site: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [*command("ra-daemon"), *map(str, arguments), "--config", str(site / "ra-daemon.toml")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(site: Path, *arguments: str | Path) -> Any:
    return json.loads(tool(site, *arguments, "--json"))


@pytest.mark.timeout(300)
def test_a_shadow_is_stored_compared_and_becomes_active(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 3, 81, size=320)
    late = phantoms(tmp_path / "late", 1, 82, size=320)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        key = Path(tool(site, "models", "install", second_bundle(tmp_path / "b")).strip()).name
        tool(site, "models", "verify", key)
        tool(site, "models", "shadow", key, "--reason", "silent month")
        with run_node(site) as node:
            send(node.port, files)
            wait_until(lambda: settled(site, 3), 90)
            wait_until(lambda: len(rows(site, TOTALS)) == 6, 60)
            assert told(site, "status")["shadow_jobs"] == {"scored": 3}
            assert node.stop() == 0
        by_role: dict[str, list[dict[str, Any]]] = {}
        for row in rows(site, TOTALS):
            by_role.setdefault(row["role"], []).append(row)
        assert {r["bundle"] for r in by_role["shadow"]} == {"second"}
        assert {r["bundle"] for r in by_role["active"]} == {"demo"}
        assert {r["sr_instance_uid"] for r in by_role["shadow"]} == {None}
        reports = sink.datasets(REPORTS)
        assert len(reports) == 3
        assert not any(b"second" in path.read_bytes() for path in sink.folder.glob("*.dcm"))
        both, _one = told(site, "models", "compare", "demo", key)["scales"]
        values = {r["source_sha256"]: r["value"] for r in by_role["active"]}
        apart = [r["value"] - values[r["source_sha256"]] for r in by_role["shadow"]]
        assert both["n"] == 3
        assert both["mean"] == pytest.approx(sum(apart) / 3)
        assert any(apart)

        tool(site, "models", "activate", key)
        states = {m["name"]: (m["state"], m["in_use"]) for m in told(site, "models", "list")}
        assert states[key] == ("active", True)
        assert states["demo"] == ("", False)
        with run_node(site) as node:
            send(node.port, late)
            wait_until(lambda: settled(site, 4), 60)
            assert told(site, "jobs", "rescore", "--all")["queued"] == 3
            current = (
                "SELECT count(*) FROM v1_results WHERE kind = 'svdh_total' AND bundle = 'second' "
                "AND role = 'active' AND status = 'current'"
            )
            wait_until(lambda: column(site, current) == [4], 60)
            wait_until(lambda: settled(site, 4) and len(sink.instances(REPORTS)) == 7, 60)
            assert node.stop() == 0
        old = [r for r in rows(site, TOTALS) if r["status"] == "superseded"]
        assert {r["bundle"] for r in old} == {"demo"}
        assert {r["sop_instance_uid"] for r in old} == uids(files)
        named = {
            str(item.ReferencedSOPInstanceUID)
            for ds in sink.datasets(REPORTS)
            for study in ds.get("PredecessorDocumentsSequence", [])
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        }
        assert named == {r["sr_instance_uid"] for r in old}
        assert [
            e for e in told(site, "status")["discrepancies"] if e["code"] == "sums_differ"
        ] == []


@pytest.mark.timeout(200)
def test_a_result_is_purged_retracted_and_the_pacs_is_told(tmp_path: Path) -> None:
    (file,) = phantoms(tmp_path / "in", 1, 83, size=320)
    uid = str(dcmread(file).SOPInstanceUID)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        with run_node(site) as node:
            send(node.port, [file])
            wait_until(lambda: settled(site, 1), 60)
            (before,) = sink.datasets(REPORTS)
            # The study is not closed for an hour; here it came long ago.
            assert node.stop() == 0
        with sqlite3.connect(site / "store" / "ra-daemon.db") as database:
            database.execute("UPDATE instance SET received_at = '2026-01-01T00:00:00.000000Z'")
        assert told(site, "purge", "--older-than", "30", "--yes")["purged"] == 1
        with run_node(site) as node:
            send(node.port, [file])  # comes again: acknowledged, neither scored nor kept
            seen = "SELECT count(*) FROM v1_instances WHERE seen_again_at IS NOT NULL"
            wait_until(lambda: column(site, seen) == [1], 30)
            tool(site, "retract", uid, "--reason", "Wrong side marker")
            wait_until(lambda: len(sink.instances(REPORTS)) == 2, 60)
            assert node.stop() == 0
        after = next(
            ds for ds in sink.datasets(REPORTS) if ds.SOPInstanceUID != before.SOPInstanceUID
        )
        item = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
        assert item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert "RETRACTED" in after.SeriesDescription
        assert "DEMONSTRATION" in after.SeriesDescription
        (status,) = {r["status"] for r in rows(site, TOTALS)}
        assert status == "retracted"
        assert column(site, "SELECT count(*) FROM v1_jobs") == [1]
