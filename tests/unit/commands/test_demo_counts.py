"""The demo's comparison: what is lost, doubled or strange is counted, and ends with status 1."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ra_daemon.commands.demo import story
from ra_daemon.commands.demo.modality import Sent
from ra_daemon.commands.demo.reconcile import reconcile, summary


@dataclass
class Node:
    """The rows of a node."""

    results: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.refusals if "v1_refusals" in query else self.results

    def counts(self) -> dict[str, int]:
        return {"received": len({r["source_sha256"] for r in (*self.results, *self.refusals)})}


@dataclass
class Pacs:
    """The files of an archive."""

    folder: Path
    arrivals: Counter[str] = field(default_factory=Counter)

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.dcm"))

    def keep(self, modality: str, source: str, number: int = 1) -> None:
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", f"1.9.{number}"
        ds.Modality = modality
        image = Dataset()
        image.ReferencedSOPInstanceUID = source
        ds.SourceImageSequence = [image]
        ds.save_as(self.folder / f"{modality}{source}-{number}.dcm", enforce_file_format=True)


def result(number: int, outcome: int | None = None, value: float = 5.0) -> dict[str, Any]:
    return {
        "outcome_id": outcome or number, "source_sha256": f"d{number}",
        "sop_instance_uid": f"1.{number}", "kind": "svdh_total", "label": "", "value": value,
        "low": value - 1, "high": value + 1,
    }  # fmt: skip


SENT = [
    Sent(path=Path(f"{n}.dcm"), digest=f"d{n}", what="hand", subject="1", visit=n, truth=10.0 * n)
    for n in (1, 2, 3)
]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Node, Pacs]:
    """Two scored with both objects, one refused: nothing lost, nothing doubled."""
    pacs = Pacs(tmp_path)
    for number in (1, 2):
        pacs.keep("SR", f"1.{number}")
        pacs.keep("OT", f"1.{number}")
    refusal = {"outcome_id": 3, "source_sha256": "d3", "sop_instance_uid": "1.3",
               "reason_code": "not_a_hand", "reason": "No hand."}  # fmt: skip
    return Node(results=[result(1), result(2)], refusals=[refusal]), pacs


def told(sides: tuple[Node, Pacs]) -> tuple[int, int]:
    node, pacs = sides
    lines = reconcile(SENT, node, pacs)  # type: ignore[arg-type]
    found = summary(lines, pacs, node, seconds=1.0)  # type: ignore[arg-type]
    return found["lost"], found["duplicates"]


def test_all_accounted_for(sides: tuple[Node, Pacs]) -> None:
    assert told(sides) == (0, 0)


def test_an_image_without_a_verdict_is_lost(sides: tuple[Node, Pacs]) -> None:
    sides[0].refusals.clear()
    assert told(sides) == (1, 0)


@pytest.mark.parametrize("modality", ["SR", "OT"])
def test_a_result_without_its_object_is_lost(sides: tuple[Node, Pacs], modality: str) -> None:
    next(sides[1].folder.glob(f"{modality}1.1-*")).unlink()
    assert told(sides) == (1, 0)


def test_a_second_verdict_or_object_is_doubled(sides: tuple[Node, Pacs]) -> None:
    sides[0].results.append(result(1, outcome=9))
    assert told(sides) == (0, 1)
    sides[1].keep("SR", "1.2", number=2)
    assert told(sides) == (0, 2)


def test_an_object_of_nothing_that_was_sent_is_counted(sides: tuple[Node, Pacs]) -> None:
    sides[1].keep("SR", "1.77")
    assert told(sides) == (0, 1)


@pytest.mark.parametrize(
    ("lost", "duplicates", "scored", "status"), [(0, 0, 12, 0), (1, 0, 11, 1), (0, 1, 12, 1)]
)
def test_the_status_is_the_comparison_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int, duplicates: int, scored: int,
    status: int,
) -> None:  # fmt: skip
    class Still:
        def __init__(self, *_: object, **__: object) -> None: ...
        def stop(self) -> None: ...

    counted = {"lost": lost, "duplicates": duplicates, "scored": scored}
    nothing: dict[str, Any] = dict.fromkeys(("MiniPacs", "DemoNode"), Still)
    for name in ("_open", "_work", "reconcile", "write_report", "_tell"):
        nothing[name] = lambda *_, **__: []
    nothing["summary"] = lambda *_, **__: counted
    for name, thing in nothing.items():
        monkeypatch.setattr(story, name, thing)
    monkeypatch.setattr(story.signal, "signal", lambda *_: None)
    assert story.play(tmp_path / "demo", seed=1, serve=False) == status
