"""A file that is not what was received: no verdict comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from ra_daemon.config import Config, Route
from ra_daemon.dicom import read
from ra_daemon.domain import Failed, Outcome, Scored
from ra_daemon.errors import FileDamagedError
from ra_daemon.steps import decode
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.pipeline import Pipeline
from ra_training.phantom import generate
from ra_training.phantom.dicom import write_dicom

CODE = "instance.file_damaged"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(Config(), progress=lambda _stage, _blame: None)


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, ScoreTask]:
    """A received file, and the task to score it."""
    path = tmp_path / "image.dcm"
    (sample,) = generate(1, 4711, hands="both", prior="flat")
    write_dicom(sample, path)
    task = ScoreTask(
        job_id=1, path=str(path), header=read.read_header(path), route=Route(name="all"),
        dataset_sha256=read.digests(path)[0],
    )  # fmt: skip
    return path, task


def zero(path: Path) -> None:
    """Zero 8 KB of its pixels."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = bytes(8192)
    path.write_bytes(data)


def reread(path: Path, old: bytes, new: bytes) -> None:
    """Damage the file meta: a value of the same length, the first that is there."""
    data = path.read_bytes()
    assert old in data[:400]
    path.write_bytes(data.replace(old, new, 1))


def judged(pipeline: Pipeline, task: ScoreTask) -> Outcome:
    pipeline.offer([task])
    ((_, outcome),) = pipeline.run([task])
    return outcome


def test_a_file_that_was_damaged_since_it_came_gets_no_verdict(
    pipeline: Pipeline, image: tuple[Path, ScoreTask]
) -> None:
    path, task = image
    whole = path.read_bytes()
    assert isinstance(judged(pipeline, task), Scored)
    zero(path)
    failed = judged(pipeline, task)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.blame, failed.retriable) == (CODE, "file", False)
    path.unlink()
    failed = judged(pipeline, task)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == (CODE, "The file of the image is gone.")
    path.write_bytes(whole)
    assert isinstance(judged(pipeline, task), Scored)


def test_a_file_that_the_disk_does_not_give_is_not_the_images_fault(
    image: tuple[Path, ScoreTask],
) -> None:
    path, task = image
    path.unlink()
    path.mkdir()
    with pytest.raises(FileDamagedError, match="IsADirectoryError"):
        decode.decode(path, dataset_sha256=task.dataset_sha256)


@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2.9\0"])
def test_damage_in_the_file_meta_neither_refuses_nor_blames_the_image(
    pipeline: Pipeline, image: tuple[Path, ScoreTask], syntax: bytes
) -> None:
    path, task = image
    reread(path, b"1.2.840.10008.1.2.1\0", syntax)
    assert read.digests(path)[0] == task.dataset_sha256, "the digest is of the data set alone"
    failed = judged(pipeline, task)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == (CODE, "The file meta of the image is damaged.")


def test_an_image_that_never_could_be_decoded_is_unreadable(
    pipeline: Pipeline, image: tuple[Path, ScoreTask]
) -> None:
    path, _ = image
    ds = dcmread(path)
    ds.compress(JPEG2000Lossless)
    ds.save_as(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xff\x4f\xff\x51", b"\xff\x4f\xff\xff", 1))
    task = ScoreTask(
        job_id=1, path=str(path), header=read.read_header(path), route=Route(name="all"),
        dataset_sha256=read.digests(path)[0],
    )  # fmt: skip
    failed = judged(pipeline, task)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.blame) == ("instance.unreadable", "decode")
