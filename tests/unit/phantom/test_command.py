"""The command ra-train phantom."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ra_training.cli import main
from ra_training.phantom import SITES

HEAD = [
    "file", "patient_id", "visit", "study_date", "hands", "total", "total_left", "total_right",
    "erosion", "narrowing",
]  # fmt: skip


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


def test_labels_add_up(tmp_path: Path) -> None:
    assert phantom(tmp_path, "--hands", "mixed", "--prior", "flat").exit_code == 0
    table = rows(tmp_path)
    assert list(table[0]) == HEAD + [f"{side}_{s}" for side in "LR" for s in SITES]
    for row in table:
        assert (tmp_path / row["file"]).exists()
        cells = {k: int(v) for k, v in row.items() if k[:2] in ("L_", "R_") and v}
        assert sum(cells.values()) == int(row["total"])
        assert int(row["erosion"]) + int(row["narrowing"]) == int(row["total"])
        shown = {k[0] for k in cells}
        assert shown == {"both": {"L", "R"}, "left": {"L"}, "right": {"R"}}[row["hands"]]


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
