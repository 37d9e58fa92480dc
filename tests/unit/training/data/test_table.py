"""The plain table: totals, readers, joints, and rows that contradict themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ra_training.data.readers import read
from ra_training.data.readers.table import JOINTS
from ra_training.errors import TrainingError
from tests.support.sets import picture, table

HEAD = ["image", "patient", "visit", "hands", "score", "reader_A", "reader_B"]


def rows(root: Path, *lines: list[str]) -> None:
    """A table and the images a.png and b.png."""
    for name in ("a.png", "b.png"):
        picture(root / name)
    table(root / "labels.csv", HEAD, *lines)


def test_score_visit_and_readers(tmp_path: Path) -> None:
    rows(
        tmp_path,
        ["a.png", "p1", "2", "both", "", "10", "14"],
        ["b.png", "p1", "", "L", "3", "", ""],
    )
    first, second = read("table", tmp_path).samples
    assert (first.score, first.visit, dict(first.readers)) == (12, "2", {"A": 10, "B": 14})
    assert (second.score, second.visit, second.hands) == (3, "1", "left")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["a.png", "p", "", "left", "141", "", ""], "label-invalid"),
        (["a.png", "p", "", "both", "nan", "", ""], "label-invalid"),
        (["a.png", "", "", "both", "1", "", ""], "label-invalid"),
        (["a.png", "p", "", "foot", "1", "", ""], "label-invalid"),
        (["../a.png", "p", "", "both", "1", "", ""], "label-invalid"),
        (["a.png", "p", "", "both", "1_2", "", ""], "label-invalid"),
        (["c.png", "p", "", "both", "1", "", ""], "image-missing"),
        (["a.png", "p", "", "both", "12", "5", "", ""], "row-width"),
        (["a.png", "p", "", "both"], "row-width"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path: Path, line: list[str], code: str) -> None:
    rows(tmp_path, ["b.png", "p", "", "both", "1", "", ""], line)
    found = read("table", tmp_path)
    assert [s.key for s in found.samples] == ["b.png"]
    assert ("labels.csv:3", code) in {(r.where, r.code) for r in found.report.refused}


def test_a_total_that_its_joints_deny_is_refused(tmp_path: Path) -> None:
    own = [j for j in JOINTS if j.startswith("L_")]
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    table(
        tmp_path / "labels.csv",
        ["image", "patient", "hands", "score", *own],
        ["a.png", "p", "left", "30", *["1"] * 31],
        ["b.png", "p", "left", "", *["1"] * 31],
    )
    found = read("table", tmp_path)
    assert [(s.key, s.score) for s in found.samples] == [("b.png", 31)]
    assert "add up to 31" in found.report.refused[0].reason


def test_columns_are_read_in_capitals_or_not(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    table(
        tmp_path / "labels.csv",
        ["IMAGE", "Patient_ID", "Hands", "Reader_Ann", "l_be_mcp-i", "R_jsn_STT"],
        ["a.png", "p", "Both", "7", "3", "2"],
    )
    found = read("table", tmp_path)
    (sample,) = found.samples
    assert dict(sample.joints) == {"L_BE_MCP-I": 3, "R_JSN_STT": 2}
    assert (dict(sample.readers), sample.score) == ({"Ann": 7}, 7)
    assert not found.report.notes


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    head = ["image", "patient", "total", "Score SvdH", "svdh", "L_BE_Nose", ""]
    table(tmp_path / "labels.csv", head, ["a.png", "p", "4", "5", "6", "1", "x"])
    found = read("table", tmp_path)
    assert [s.score for s in found.samples] == [4]
    assert found.report.notes == (
        "labels.csv: columns not read: Score SvdH, svdh, L_BE_Nose, (no name)",
    )


@pytest.mark.parametrize("twin", ["Score", "l be mcp-i", "READER_A"])
def test_two_spellings_of_a_column_are_refused(tmp_path: Path, twin: str) -> None:
    head = ["image", "patient", "score", "L_BE_MCP-I", "reader_A", twin]
    table(tmp_path / "labels.csv", head)
    with pytest.raises(TrainingError, match="two columns of one"):
        read("table", tmp_path)


def test_two_tables_are_ambiguous(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", HEAD)
    table(tmp_path / "b.csv", HEAD)
    with pytest.raises(TrainingError, match="2 tables"):
        read("table", tmp_path)


@pytest.mark.parametrize("form", ["png", "dicom"])
def test_generated_cohorts_are_read(tmp_path: Path, form: str) -> None:
    from ra_training.commands.phantom import command

    options = f"--n 2 --seed 3 --visits 2 --size 160 --format {form} --out {tmp_path}".split()
    assert CliRunner().invoke(command, options).exit_code == 0
    found = read("phantom", tmp_path)
    assert len(found.samples) == 4
    assert not found.report.refused
    for sample in found.samples:
        assert sample.source == "phantom"
        assert len(sample.joints) == 62
        assert sample.score == sum(sample.joints.values())


def test_generated_crops_are_read_as_h1200(tmp_path: Path) -> None:
    from ra_training.commands.phantom import command

    options = f"--n 2 --seed 3 --size 200 --format ram-h1200 --out {tmp_path}".split()
    assert CliRunner().invoke(command, options).exit_code == 0
    found = read("ram-h1200", tmp_path)
    assert len(found.samples) == 4
    assert all(len(found.crops[s.key]) == 31 for s in found.samples)
    assert not found.report.refused
