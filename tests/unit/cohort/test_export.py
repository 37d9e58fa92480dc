"""A cohort from a database with known scores: changes, reasons, files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import hypot
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyarrow import parquet

from ra_daemon import __version__
from ra_daemon.cohort.export import Lock, export_cohort, manifest_sha256, verify_export
from ra_daemon.cohort.visits import VisitMapping, read_mapping
from ra_daemon.domain import Reason, Refused, Scored
from ra_daemon.errors import ConfigError, StoreError
from ra_daemon.store import audit, studies
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.schema import revisions, upgrade
from ra_engine.types import Measurement, Side
from tests.support.verdicts import admission, admit, band, record, scored

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass
class Site:
    """A database that tests put verdicts into, one study each."""

    url: str
    engine: sa.Engine
    queue: JobQueue
    folder: Path
    images: int = 0

    def verdict(self, accession: str, day: str, outcome: Scored | Refused | None) -> None:
        """One image of a study; None: received and not yet scored."""
        self.images += 1
        made = admission(
            f"1.2.{self.images}",
            accession_number=accession,
            study_date=day,
            patient_id=f"P-{accession}",
            study_instance_uid=f"1.9.{accession}",
        )
        if outcome is None:
            admit(self.engine, made)
        else:
            record(self.engine, self.queue, made, outcome)

    def export(self, text: str, name: str = "out", **kwargs: Any) -> dict[str, Any]:
        """Export with this visit file."""
        return export_cohort(self.url, self.mapping(text), self.folder / name, now=NOW, **kwargs)

    def mapping(self, text: str) -> VisitMapping:
        path = self.folder / "visits.csv"
        path.write_text("accession_number,subject,visit,arm\n" + text, encoding="utf-8")
        return read_mapping(path)

    def rows(self, name: str = "out", file: str = "cohort.csv") -> list[dict[str, str]]:
        with (self.folder / name / file).open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    opened = open_engine(url)
    upgrade(opened)
    yield Site(url=url, engine=opened, queue=JobQueue(opened), folder=tmp_path)
    opened.dispose()


def other_model(verdict: Scored, **fields: str) -> Scored:
    """The same verdict by a model that differs in ``fields``."""
    (finding,) = verdict.findings
    assert isinstance(finding, Measurement)
    return replace(verdict, findings=(replace(finding, model=replace(finding.model, **fields)),))


def test_change_comes_with_limits_and_a_flag(site: Site) -> None:
    site.verdict("A1", "20260101", scored(band(3), value=20, half=3))
    site.verdict("A2", "20260701", scored(value=30, half=4))
    site.verdict("A3", "20261231", scored(value=22, half=4))
    site.export("A1,S1,W0,X\nA2,S1,W26,X\nA3,S1,W52,X\n")
    base, second, third = site.rows()
    assert (base["value"], base["band"], base["no_change_reason"]) == ("20.0", "3", "is_baseline")
    assert float(second["change"]) == 10
    assert float(second["change_low"]) == pytest.approx(10 - hypot(3, 4))
    assert float(second["change_high"]) == pytest.approx(10 + hypot(3, 4))
    assert (second["below_detectable_change"], second["baseline_visit"]) == ("0", "W0")
    assert (third["change"], third["below_detectable_change"]) == ("2.0", "1")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"digest": "9" * 64}, "other_bundle_digest"),
        ({"engine": "tensorrt"}, "other_engine"),
        ({"precision": "fp16"}, "other_precision"),
        ({"preprocessing": "8" * 64}, "other_preprocessing_digest"),
    ],
)
def test_no_change_across_models(site: Site, fields: dict[str, str], reason: str) -> None:
    site.verdict("A1", "20260101", scored())
    site.verdict("A2", "20260701", other_model(scored(), **fields))
    manifest = site.export("A1,S1,W0,X\nA2,S1,W26,X\n")
    assert (site.rows()[1]["change"], site.rows()[1]["no_change_reason"]) == ("", reason)
    assert manifest["counts"]["with_change"] == 0


def test_no_change_between_other_hands_or_without_an_interval(site: Site) -> None:
    bare = scored()
    (finding,) = bare.findings
    assert isinstance(finding, Measurement)
    site.verdict("A1", "20260101", scored())
    site.verdict("A2", "20260201", scored(hands="left"))
    site.verdict("A3", "20260301", replace(bare, findings=(replace(finding, interval=None),)))
    site.export("A1,S1,W0,X\nA2,S1,W4,X\nA3,S1,W8,X\n")
    assert [r["no_change_reason"] for r in site.rows()] == [
        "is_baseline",
        "other_hands",
        "other_level",
    ]


def test_no_change_between_hands_of_unknown_side(site: Site) -> None:
    def one_hand(value: float) -> Scored:
        verdict = scored(value=value, hands="left")
        (finding,) = verdict.findings
        assert isinstance(finding, Measurement)
        hand = replace(finding, kind="svdh_hand", side=Side.UNKNOWN)
        return replace(verdict, findings=(hand,), hands="unknown")

    site.verdict("A1", "20260101", one_hand(10))
    site.verdict("A2", "20260201", one_hand(20))
    site.verdict("A3", "20260301", scored())
    manifest = site.export("A1,S1,W0,X\nA2,S1,W4,X\nA3,S1,W8,X\n")
    assert [(r["value"], r["hands"], r["change"], r["no_change_reason"]) for r in site.rows()] == [
        ("10.0", "unknown", "", "is_baseline"),
        ("20.0", "unknown", "", "unknown_hand"),
        ("42.0", "both", "", "unknown_hand"),
    ]
    assert manifest["counts"]["with_change"] == 0
    assert json.loads((site.folder / "out" / "statistics.json").read_text()) == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("A1,P-A1,2026-01-01", ""),
        ("A1,,2026-01-01", ""),
        ("A1,P-A1,", ""),
        ("A1,P-A2,2026-01-01", "keys_disagree"),
        ("A1,P-A1,2026-01-02", "keys_disagree"),
        ("A1,P-A2,2026-07-01", "keys_disagree"),
        ("A9,P-A1,2026-01-01", "keys_disagree"),
        ("A9,P-A9,2026-01-01", "no_image"),
        ("A3,P-A1,2026-01-01", "keys_disagree"),
        ("A3,P-A3,2026-01-01", "not_scored_yet"),
    ],
)
def test_a_row_that_names_two_studies_has_no_value(site: Site, keys: str, reason: str) -> None:
    site.verdict("A1", "20260101", scored(value=20))
    site.verdict("A2", "20260701", scored(value=30))
    site.verdict("A3", "20260101", None)
    path = site.folder / "visits.csv"
    path.write_text(f"accession_number,patient_id,study_date,subject,visit\n{keys},S1,W0\n")
    export_cohort(site.url, read_mapping(path), site.folder / "out")
    (row,) = site.rows()
    assert (row["value"], row["missing_reason"]) == ("" if reason else "20.0", reason)


def test_the_manifest_names_the_visit_file_the_program_and_the_database(site: Site) -> None:
    site.verdict("A1", "20260101", scored())
    manifest = site.export("A1,S1,W0,\u00e9\n")
    content = (site.folder / "visits.csv").read_bytes()
    assert manifest["visits"] == {"sha256": hashlib.sha256(content).hexdigest(), "rows": 1}
    assert manifest["program"] == {
        "name": "ra-daemon",
        "version": __version__,
        "database": revisions(site.engine)[1],
    }


def test_a_lock_is_in_the_audit_trail_with_the_hash_of_its_manifest(site: Site) -> None:
    site.verdict("A1", "20260101", scored())
    site.export("A1,S1,W0,X\n", "draft")
    with site.engine.connect() as conn:
        assert audit.entries(conn) == []
    site.export("A1,S1,W0,X\n", "locked", lock=Lock(who="dm", why="primary endpoint"))
    with site.engine.connect() as conn:
        (row,) = audit.entries(conn)
        audit.verify(conn)
    assert (row.what, row.who, row.why) == ("cohort.lock", "dm", "primary endpoint")
    assert row.new == f"manifest {manifest_sha256(site.folder / 'locked')}, 1 rows"


def test_a_lock_that_cannot_be_audited_leaves_no_manifest(site: Site) -> None:
    site.verdict("A1", "20260101", scored())
    with site.engine.begin() as conn:
        conn.exec_driver_sql(
            "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(StoreError):
        site.export("A1,S1,W0,X\n", lock=Lock(who="dm", why="endpoint"))
    assert not (site.folder / "out" / "manifest.json").exists()


def test_every_missing_visit_has_its_reason(site: Site) -> None:
    site.verdict("A1", "20260101", Refused(reason=Reason.CROPPED))
    site.verdict("A2", "20260101", None)
    site.verdict("A4", "20260101", scored())
    site.verdict("A4", "20260101", scored())
    site.verdict("A5", "20260101", scored(hands="left"))
    site.verdict("A5", "20260101", scored(hands="right"))
    manifest = site.export(
        "A1,S1,W0,X\nA2,S2,W0,X\nA3,S3,W0,X\nA4,S4,W0,X\nA5,S5,W0,X\n,S6,W0,X\n,S6,W4,X\n"
    )
    missing = {
        (r["subject"], r["visit"]): r["reason"] for r in site.rows(file="missing_visits.csv")
    }
    assert {v: r for v, r in missing.items() if v[1] == "W0"} == {
        ("S1", "W0"): "refused:cropped",
        ("S2", "W0"): "not_scored_yet",
        ("S3", "W0"): "no_image",
        ("S4", "W0"): "several_images",
        ("S5", "W0"): "hands_not_aggregated_yet",
        ("S6", "W0"): "no_study_planned_only",
    }
    assert missing["S1", "W4"] == "not_in_file"
    assert manifest["counts"]["missing_visits"] == len(missing) == 12
    assert manifest["counts"]["with_value"] == 0


def test_two_single_hand_images_count_once_they_are_aggregated(site: Site) -> None:
    site.verdict("A5", "20260101", scored(value=10, hands="left"))
    site.verdict("A5", "20260101", scored(value=20, hands="right"))
    (key,) = studies.quiet_studies(site.engine, 0)
    studies.record_aggregate(site.engine, key, scored(value=30))
    site.export("A5,S5,W0,X\n")
    (row,) = site.rows()
    assert (row["value"], row["hands"]) == ("30.0", "both")


def test_the_baseline_is_the_earliest_value_or_a_named_visit(site: Site) -> None:
    site.verdict("A1", "20260601", scored(value=30))
    site.verdict("A0", "20260101", scored(value=10))
    text = "A1,S1,LATE,X\nA0,S1,EARLY,X\n,S2,LATE,X\n"
    site.export(text, "first")
    assert {r["visit"]: r["change"] for r in site.rows("first") if r["subject"] == "S1"} == {
        "EARLY": "",
        "LATE": "20.0",
    }
    site.export(text, "late", baseline="LATE")
    assert [r["change"] for r in site.rows("late")] == ["", "-20.0", ""]
    assert site.rows("late")[2]["no_change_reason"] == "no_value"
    with pytest.raises(ConfigError, match="No visit"):
        site.export(text, "none", baseline="W9")


def test_the_files_agree_with_the_manifest_and_are_the_same_twice(site: Site) -> None:
    site.verdict("A1", "20260101", scored(value=20))
    site.verdict("A2", "20260701", scored(value=26))
    text = "A1,S1,W0,=cmd\nA2,S1,W26,=cmd\n"
    manifest = site.export(text)
    again = site.export(text, "again", lock=Lock(who="dm", why="endpoint"))
    assert manifest["files"] == again["files"]
    assert (manifest["status"], manifest["lock"]) == ("DRAFT", None)
    assert (again["status"], again["lock"]) == ("LOCKED", {"who": "dm", "why": "endpoint"})
    assert manifest["bundles"] == [{"name": "demo", "version": "1.0", "digest": "b" * 64}]
    assert manifest["demonstration"]
    out = site.folder / "out"
    assert verify_export(out) == []
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert parquet.read_table(out / "cohort.parquet").num_rows == 2
    assert site.rows()[0]["arm"] == "'=cmd"
    (group,) = json.loads((out / "statistics.json").read_text())
    assert group["change"]["median"] == 6
    assert group["rates"]["rapid"] == 1  # 6 units in half a year
    assert set(json.loads((out / "dictionary.json").read_text())) == set(site.rows()[0])
    (out / "cohort.csv").write_text("changed")
    assert verify_export(out) == ["cohort.csv"]
    with pytest.raises(ConfigError, match="not empty"):
        site.export(text)


def test_a_folder_without_a_manifest_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        verify_export(tmp_path)
