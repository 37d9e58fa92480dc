"""score: files in, one row each; bundles of the tests stand in for a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pydicom import dcmread

from ra_daemon.cli import main
from ra_daemon.commands.score import Run
from ra_daemon.commands.score_names import Names
from ra_daemon.config import Route
from ra_daemon.dicom import guard
from ra_daemon.domain import Outcome
from ra_daemon.worker.messages import ScoreTask
from ra_engine.types import Measurement
from ra_training.cli import main as train
from tests.support import bundles, scored
from tests.support.dicom_sources import dirty, with_raw
from tests.support.peers import require_tool


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
    assert done.exit_code in (0, 1, 2), done.output
    return done, json.loads(done.stdout)


def test_a_file_that_would_exhaust_its_reader_is_not_parsed(
    config: Path, images: Path, tmp_path: Path
) -> None:
    bomb, whole = tmp_path / "bomb.dcm", min(images.glob("*.dcm"))
    bomb.write_bytes(whole.read_bytes() + b"\xfe\xff\x00\xe0" * (guard.MAX_ITEMS + 1))
    _done, rows = score(config, bomb, whole, "--out", tmp_path / "out")
    row, other = rows
    assert (row["status"], other["status"]) == ("refused", "scored")
    assert "sequence items" in str(row["reason"])


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


def test_the_bundle_that_was_activated_scores(config: Path, images: Path, tmp_path: Path) -> None:
    other = bundles.score_bundle(
        tmp_path / "other", manifest=bundles.SCORE.replace('name = "small"', 'name = "other"')
    )
    files = sorted(images.glob("*.dcm"))[:1]
    _, before = score(config, *files, "--out", tmp_path / "before")
    for words in (["install", str(other)], ["activate", "other-1.0"]):
        done = CliRunner().invoke(main, ["models", *words, "--config", str(config)])
        assert done.exit_code == 0, done.output
    _, after = score(config, *files, "--out", tmp_path / "after")
    assert [before[0]["bundle"], after[0]["bundle"]] == ["small", "other"]


FIELDS = frozenset(
    (
        *("file", "sop_instance_uid", "status", "reason", "hands", "score", "low", "high"),
        *("members", "severity", "sr", "capture", "bundle", "bundle_version", "engine"),
    )
)
"""What others build on, in every row whatever its status."""


def test_every_row_has_every_field(config: Path, images: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    files = (min(images.glob("*.dcm")), text, tmp_path / "none.dcm")
    _, rows = score(config, *files, "--out", tmp_path / "out")
    assert [row["status"] for row in rows] == ["scored", "refused", "error"]
    assert all(row.keys() >= FIELDS for row in rows)
    assert len({frozenset(row) for row in rows}) == 1
    first, *others = rows
    assert all(first[name] is not None for name in FIELDS - {"reason"})
    assert {*first["severity"]} == {"band", "bands", "edges", "probabilities"}  # type: ignore[misc]
    for row in others:
        assert {*row["reason"]} == {"code", "text"}  # type: ignore[misc]
        assert all(row[name] is None for name in ("score", "severity", "sr", "capture", "bundle"))


def test_a_report_that_cannot_be_written_hides_no_other(
    config: Path, images: Path, tmp_path: Path
) -> None:
    files, out = sorted(images.glob("*.dcm")), tmp_path / "out"
    (out / f"{files[0].stem}.sr.dcm").mkdir(parents=True)  # its name is taken by a folder
    done, rows = score(config, *files, "--out", out)
    assert done.exit_code == 1
    assert [row["status"] for row in rows] == ["error", "scored"]
    assert rows[0]["reason"]["code"] == "file.failed"  # type: ignore[index]
    assert rows[0]["score"] is not None
    assert rows[0]["sr"] is None


def test_a_route_without_a_score_has_a_line_too(config: Path, images: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '[[route]]\nname = "a"\nscorers = ["severity"]\n')
    words = ["score", str(min(images.glob("*.dcm"))), "--config", str(config)]
    words += ["--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split("\t")[1:4] == ["scored", "", ""]


def test_without_a_map_there_is_no_heatmap(config: Path, images: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '[[route]]\nname = "a"\nscorers = ["svdh"]\n')
    _, (row,) = score(config, min(images.glob("*.dcm")), "--out", tmp_path / "out")
    assert (row["status"], row["capture"]) == ("scored", None)
    assert [str(p) for p in (tmp_path / "out").iterdir()] == [row["sr"]]


def test_files_of_one_name_keep_their_own_objects(
    config: Path, images: Path, tmp_path: Path
) -> None:
    files = [tmp_path / folder / "x.dcm" for folder in ("a", "b")]
    for file, image in zip(files, sorted(images.glob("*.dcm")), strict=True):
        file.parent.mkdir()
        file.write_bytes(image.read_bytes())
    out = tmp_path / "out"
    for order in (files, files, files[::-1], files[1:]):  # again, and in any order
        _, rows = score(config, *order, "--out", out)
        for row in rows:
            for kind in ("sr", "capture"):
                assert row["sop_instance_uid"] in str(dcmread(str(row[kind])))
    assert sorted(p.name for p in out.iterdir()) == [
        "x-2.heatmap.dcm", "x-2.sr.dcm", "x.heatmap.dcm", "x.sr.dcm",
    ]  # fmt: skip


def test_two_files_of_one_instance_and_a_source_of_that_name_are_safe(
    config: Path, images: Path, tmp_path: Path
) -> None:
    content = min(images.glob("*.dcm")).read_bytes()
    files = [tmp_path / name for name in ("x.dcm", "x.img", "x.sr.dcm")]
    for file in files:
        file.write_bytes(content)
    _, rows = score(config, *files)
    assert [r["status"] for r in rows] == ["scored"] * 3
    assert len({r["sr"] for r in rows}) == len({r["capture"] for r in rows}) == 3
    assert all(file.read_bytes() == content for file in files)


class OddPipeline:
    """Scores everything, the first image with a code of one part, which no report can hold."""

    def offer(self, tasks: Sequence[ScoreTask]) -> None:
        """Nothing to decode ahead."""

    def run(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        whole = scored.both_hands()
        odd = [replace(f, code=("ODD",)) if isinstance(f, Measurement) else f
               for f in whole.findings]  # fmt: skip
        for number, task in enumerate(tasks):
            yield task.job_id, whole if number else replace(whole, findings=tuple(odd))


def test_an_unforeseen_fault_of_one_file_is_a_row_like_any_other(
    images: Path, tmp_path: Path
) -> None:
    files = sorted(images.glob("*.dcm"))
    run = Run(
        pipeline=OddPipeline(), route=Route(name="files"), names=Names(tmp_path), digest="dd",
        serial_number="1",
    )  # fmt: skip
    odd, plain = run.score(files)
    assert (odd["status"], plain["status"]) == ("error", "scored")
    assert odd["reason"]["code"] == "report.failed"
    assert "ODD" not in odd["reason"]["text"]
    assert odd.keys() == plain.keys() >= FIELDS
    assert odd["score"] == plain["score"]
    assert {p.name for p in tmp_path.iterdir()} == {Path(plain[k]).name for k in ("sr", "capture")}


def test_a_file_that_may_not_be_read_hides_no_other(
    config: Path, images: Path, tmp_path: Path
) -> None:
    endless = tmp_path / ("x" * 300 + ".dcm")  # a name that the file system refuses
    done, rows = score(config, endless, min(images.glob("*.dcm")), "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert [row["status"] for row in rows] == ["error", "scored"]


def test_no_library_prints_a_patients_name(config: Path, images: Path, tmp_path: Path) -> None:
    source = dirty(
        tmp_path / "x.dcm", min(images.glob("*.dcm")), with_raw("PatientName", "Nameless\\One")
    )
    words = ["-m", "ra_daemon", "score", str(source), "--config", str(config), "--json"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)
    assert row["status"] == "scored"
    assert "header.mended" in done.stderr
    assert "Nameless" not in done.stdout + done.stderr


def test_uids_are_fresh_every_time(config: Path, images: Path, tmp_path: Path) -> None:
    file = min(images.glob("*.dcm"))
    uids = set()
    for number in range(2):
        _, (row,) = score(config, file, "--out", tmp_path / str(number))
        uids |= {dcmread(str(row[k])).SOPInstanceUID for k in ("sr", "capture")}
    assert len(uids) == 4


def test_a_picture_is_told_how_it_becomes_an_object(
    config: Path, images: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "hand.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(300))
    both = tmp_path / "both.dcm"  # a DICOM file whose preamble begins as a TIFF file does
    both.write_bytes(b"II*\0" + min(images.glob("*.dcm")).read_bytes()[4:])
    _, rows = score(config, picture, both, "--out", tmp_path / "out")
    assert rows[0]["reason"]["code"] == "unreadable"  # type: ignore[index]
    assert "a PNG file. Of a digitised film" in rows[0]["reason"]["text"]  # type: ignore[index]
    assert rows[1]["status"] == "scored"


def test_a_digitised_film_is_scored_where_a_route_takes_it(
    config: Path, images: Path, tmp_path: Path
) -> None:
    convert = require_tool("img2dcm", "dcmtk")
    grey = dcmread(min(images.glob("*.dcm"))).pixel_array
    Image.fromarray((grey / grey.max() * 255).astype("uint8")).save(tmp_path / "film.bmp")
    film = tmp_path / "film.dcm"
    command = [convert, "-i", "BMP", "-k", "ConversionType=DF", tmp_path / "film.bmp", film]
    subprocess.run(command, check=True)
    _, (before,) = score(config, film, "--out", tmp_path / "before")
    assert before["reason"]["code"] == "for_processing"  # type: ignore[index]
    with config.open("a") as stream:
        stream.write('[[route]]\nname = "film"\nsecondary_capture = true\n')
    _, (after,) = score(config, film, "--out", tmp_path / "after")
    assert after["status"] == "scored"


def test_a_refusal_is_no_failure_and_an_absent_file_is(
    config: Path, images: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    done, (row,) = score(config, text)
    assert done.exit_code == 0
    assert row["status"] == "refused"
    assert row["reason"]["code"] == "unreadable"  # type: ignore[index]
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(min(images.glob("PHANTOM*_1.dcm")).read_bytes()[:-5000])
    done, (row,) = score(config, cut)
    assert done.exit_code == 0
    assert row["status"] == "refused"
    assert row["sop_instance_uid"], "its header can be read"
    done, (row,) = score(config, tmp_path / "none.dcm")
    assert done.exit_code == 1
    assert row["status"] == "error"


def test_what_is_no_file_is_told_as_what_it_is_and_hides_no_other(
    config: Path, images: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    names = (tmp_path / "none.dcm", images, tmp_path / "pipe", Path("/dev/null"))
    done, rows = score(config, *names, min(images.glob("*.dcm")), "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert [row["status"] for row in rows] == ["error"] * 4 + ["scored"]
    assert [row["reason"] for row in rows[:4]] == [
        {"code": "file.missing", "text": f"There is no file {names[0]}."},
        {"code": "file.not_regular", "text": f"{images} is a folder: name the files in it."},
        {"code": "file.not_regular", "text": f"{names[2]} is no regular file."},
        {"code": "file.not_regular", "text": "/dev/null is no regular file."},
    ]


def test_an_object_without_pixels_is_told_so(config: Path, images: Path, tmp_path: Path) -> None:
    ds = dcmread(min(images.glob("*.dcm")))
    del ds.PixelData
    ds.save_as(tmp_path / "bare.dcm")
    _, (row,) = score(config, tmp_path / "bare.dcm")
    assert row["reason"] == {
        "code": "unreadable",
        "text": "The object cannot be read as a DICOM image. The object holds no pixel data.",
    }
    assert row["sop_instance_uid"] == ds.SOPInstanceUID


def test_one_line_is_one_file_whatever_its_name(config: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\tb\nc\\d.dcm"
    odd.write_text("no DICOM")
    done = CliRunner().invoke(main, ["score", str(odd), "--config", str(config)])
    head, line = done.stdout.splitlines()
    assert line.split("\t")[:2] == [f"{tmp_path}/a\\tb\\nc\\\\d.dcm", "refused"]
    assert len(line.split("\t")) == len(head.split("\t"))
