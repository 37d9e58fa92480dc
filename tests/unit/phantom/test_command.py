"""The command ra-train phantom."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pydicom import dcmread

from ra_training.cli import main
from ra_training.phantom import SITES, generate
from ra_training.phantom.exposure import Side
from ra_training.phantom.grades import Prior

HEAD = [
    "file", "patient_id", "visit", "study_date", "hands", "total", "total_left", "total_right",
    "erosion", "narrowing",
]  # fmt: skip
SIDES: tuple[Side, Side] = ("left", "right")


def phantom(out: Path, *options: str) -> Result:
    """Run the command with small images."""
    base = ["phantom", "--n", "4", "--seed", "2", "--out", str(out), "--size", "192"]
    return CliRunner().invoke(main, [*base, *options])


def rows(out: Path) -> list[dict[str, str]]:
    """The label table."""
    with (out / "labels.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_help_lists_the_commands() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for name in ("phantom", "fit", "calibrate", "evaluate", "export"):
        assert name in shown


@pytest.mark.parametrize("prior", ["clinic", "early", "flat"])
def test_every_cell_of_the_labels_is_the_generators_own(tmp_path: Path, prior: Prior) -> None:
    assert phantom(tmp_path, "--hands", "mixed", "--visits", "2", "--prior", prior).exit_code == 0
    table = rows(tmp_path)
    made = list(generate(4, 2, hands="mixed", visits=2, prior=prior, height=192))
    assert len(table) == len(made) == 8
    assert list(table[0]) == HEAD + [f"{side}_{s}" for side in "LR" for s in SITES]
    for row, sample in zip(table, made, strict=True):
        hands = {side: sample.grades.hand(side) for side in SIDES if sample.hands in (side, "both")}
        want = {
            "file": f"{sample.patient_id}_{sample.visit}.dcm", "patient_id": sample.patient_id,
            "visit": str(sample.visit), "study_date": sample.study_date.isoformat(),
            "hands": sample.hands, "total": str(sum(h.total for h in hands.values())),
            "erosion": str(sum(h.erosion_total for h in hands.values())),
            "narrowing": str(sum(h.narrowing_total for h in hands.values())),
        }  # fmt: skip
        for side in SIDES:
            hand = hands.get(side)
            want[f"total_{side}"] = str(hand.total) if hand else ""
            for site in SITES:
                want[f"{side[0].upper()}_{site}"] = str(hand.grade(site)) if hand else ""
        assert row == want
        ds = dcmread(tmp_path / row["file"])
        assert (ds.PatientID, ds.StudyDate) == (
            row["patient_id"],
            row["study_date"].replace("-", ""),
        )
        assert {"L": "left", "R": "right", "B": "both"}[ds.ImageLaterality] == row["hands"]
    sides = [(r["total_left"], r["total_right"]) for r in table if r["hands"] == "both"]
    assert any(left != right for left, right in sides), "a swap would show"


def test_files_lie_flat(tmp_path: Path) -> None:
    assert phantom(tmp_path, "--visits", "2").exit_code == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {f"PHANTOM-2-{i:04d}_{v}.dcm" for i in range(1, 5) for v in (1, 2)} | {
        "labels.csv"
    }


def test_png(tmp_path: Path) -> None:
    assert phantom(tmp_path, "--format", "png").exit_code == 0
    with Image.open(tmp_path / rows(tmp_path)[0]["file"]) as image:
        assert image.mode == "L"
        assert image.height == 192


@pytest.mark.parametrize(("kind", "prefix", "count"), [("BE", "be", 16), ("JSN", "jsn", 15)])
def test_ram_h1200_layout(tmp_path: Path, kind: str, prefix: str, count: int) -> None:
    assert phantom(tmp_path, "--format", "ram-h1200", "--hands", "left").exit_code == 0
    root = tmp_path / f"SvdH_{kind}_Scoring" / "train"
    scores = json.loads((root / f"_annotation_{prefix}_scores.json").read_text())
    assert len(scores) == 4
    for name, grades in scores.items():
        assert set(grades) == {s for s in SITES if s.startswith(f"{kind}_")}
        crops = {p.stem for p in (root / Path(name).stem).glob("*.bmp")}
        assert len(crops) == count
        assert crops == {s.removeprefix(f"{kind}_") for s in grades}


def test_images_of_no_hand(tmp_path: Path) -> None:
    assert phantom(tmp_path, "--nonhand", "foot").exit_code == 0
    assert len(list(tmp_path.glob("*.dcm"))) == 4


def test_unknown_kind_is_a_usage_error(tmp_path: Path) -> None:
    result = phantom(tmp_path, "--nonhand", "tail")
    assert result.exit_code == 2
    assert "foot" in result.output
