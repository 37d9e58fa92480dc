"""score: files in, one row each; bundles of the tests stand in for a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

from ra_daemon.cli import main
from ra_training.cli import main as train
from tests.support import bundles


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    done = CliRunner().invoke(train, ["phantom", "--n", "2", "--seed", "5", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    bundles.score_bundle(tmp_path / "data" / "models" / "small")
    bundles.locator_bundle(tmp_path / "data" / "models" / "finder")
    path = tmp_path / "ra-daemon.toml"
    path.write_text('[scoring]\nbundle = "small"\nlocator = "finder"\nthreads = 1\n')
    return path


def score(config: Path, *arguments: str | Path) -> tuple[Result, list[dict[str, object]]]:
    words = ["score", *map(str, arguments), "--config", str(config), "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code in (0, 1), done.output
    return done, json.loads(done.stdout)


def test_a_scored_file_has_figures_report_and_heatmap(
    config: Path, images: Path, tmp_path: Path
) -> None:
    files = sorted(images.glob("*.dcm"))
    done, rows = score(config, *files, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert [r["file"] for r in rows] == [str(p) for p in files]
    for row in rows:
        assert row["status"] == "scored"
        assert row["low"] <= row["score"] <= row["high"]  # type: ignore[operator]
        report, capture = (dcmread(str(row[k])) for k in ("sr", "capture"))
        source = dcmread(str(row["file"]), stop_before_pixels=True)
        assert report.Modality == "SR"
        assert report.StudyInstanceUID == capture.StudyInstanceUID == source.StudyInstanceUID
        assert sum(row["severity"]["probabilities"]) == pytest.approx(1)  # type: ignore[index]


def test_uids_are_fresh_every_time(config: Path, images: Path, tmp_path: Path) -> None:
    file = min(images.glob("*.dcm"))
    uids = set()
    for number in range(2):
        _, (row,) = score(config, file, "--out", tmp_path / str(number))
        uids |= {dcmread(str(row[k])).SOPInstanceUID for k in ("sr", "capture")}
    assert len(uids) == 4


def test_a_refusal_is_no_failure_and_an_absent_file_is(
    config: Path, images: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    done, (row,) = score(config, text)
    assert done.exit_code == 0
    assert row["status"] == "refused"
    assert row["reason"]["code"] == "unreadable"  # type: ignore[index]
    done, (row,) = score(config, tmp_path / "none.dcm")
    assert done.exit_code == 1
    assert row["status"] == "error"
