"""The demo's comparison: what is lost, doubled or strange is counted, and ends with status 1."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from rich.console import Console

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
    for n in (1, 2)
]
SENT.append(Sent(path=Path("3.dcm"), digest="d3", what="a foot", expected="not_a_hand"))


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


def summed(sides: tuple[Node, Pacs]) -> dict[str, Any]:
    node, pacs = sides
    lines = reconcile(SENT, node, pacs)  # type: ignore[arg-type]
    return summary(lines, pacs, node, seconds=1.0)  # type: ignore[arg-type]


def told(sides: tuple[Node, Pacs]) -> tuple[int, int]:
    found = summed(sides)
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


def test_each_object_has_the_verdict_that_it_must_get(sides: tuple[Node, Pacs]) -> None:
    assert summed(sides)["unexpected"] == 0


def test_a_foot_that_is_scored_is_unexpected(sides: tuple[Node, Pacs]) -> None:
    node, pacs = sides
    node.refusals.clear()
    node.results.append(result(3))
    pacs.keep("SR", "1.3")
    pacs.keep("OT", "1.3")
    assert told(sides) == (0, 0)
    assert summed(sides)["unexpected"] == 1


def test_a_foot_that_is_refused_for_another_reason_is_unexpected(sides: tuple[Node, Pacs]) -> None:
    sides[0].refusals[0]["reason_code"] = "unreadable"
    assert summed(sides)["unexpected"] == 1


def test_a_hand_that_is_refused_is_unexpected(sides: tuple[Node, Pacs]) -> None:
    sides[0].results.pop()
    sides[0].refusals.append(
        {"outcome_id": 2, "source_sha256": "d2", "reason_code": "not_a_hand", "reason": "No hand."}
    )
    assert told(sides)[0] == 0
    assert summed(sides)["unexpected"] == 1


def test_an_object_without_a_verdict_is_unexpected(sides: tuple[Node, Pacs]) -> None:
    sides[0].refusals.clear()
    assert summed(sides)["unexpected"] == 1


def shown(sides: tuple[Node, Pacs], seconds: float) -> str:
    node, pacs = sides
    lines = reconcile(SENT, node, pacs)  # type: ignore[arg-type]
    found = summary(lines, pacs, node, seconds=seconds)  # type: ignore[arg-type]
    out = io.StringIO()
    story._tell(Console(file=out, width=300), Path("ra-demo"), lines, found)
    return out.getvalue()


def test_what_is_unexpected_is_named(sides: tuple[Node, Pacs]) -> None:
    assert "Unexpected" not in shown(sides, 30.0)
    sides[0].refusals[0]["reason_code"] = "unreadable"
    assert "Unexpected: a foot: unreadable, not not_a_hand." in shown(sides, 30.0)


def test_what_has_no_verdict_is_not_shown_as_refused(sides: tuple[Node, Pacs]) -> None:
    assert "refused  not_a_hand" in shown(sides, 30.0)
    sides[0].refusals.clear()
    assert "no verdict" in shown(sides, 30.0)
    assert "Unexpected: a foot: none, not not_a_hand." in shown(sides, 30.0)


def test_a_long_demo_warns(sides: tuple[Node, Pacs]) -> None:
    assert "Warning" not in shown(sides, 90.0)
    assert "Warning: this took 91 s, more than the usual 90 s" in shown(sides, 91.0)


@pytest.mark.parametrize(
    ("faults", "status"),
    [({}, 0), ({"lost": 1}, 1), ({"duplicates": 1}, 1), ({"unexpected": 1}, 1)],
)
def test_the_status_is_the_comparison_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: dict[str, int], status: int
) -> None:
    class Still:
        def __init__(self, *_: object, **__: object) -> None: ...
        def stop(self) -> None: ...

    counted = {"lost": 0, "duplicates": 0, "unexpected": 0, **faults}
    nothing: dict[str, Any] = dict.fromkeys(("MiniPacs", "DemoNode"), Still)
    for name in ("_open", "_work", "reconcile", "write_report", "_tell"):
        nothing[name] = lambda *_, **__: []
    nothing["summary"] = lambda *_, **__: counted
    for name, thing in nothing.items():
        monkeypatch.setattr(story, name, thing)
    monkeypatch.setattr(story.signal, "signal", lambda *_: None)
    assert story.play(tmp_path / "demo", seed=1, serve=False) == status
