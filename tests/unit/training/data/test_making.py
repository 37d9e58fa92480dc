"""Prepared sets from files: as serving sees them, resumable, refused when stale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ra_engine.prepare import Preprocessing, prepare_image
from ra_training.commands.phantom import command
from ra_training.data.making import Making, make
from ra_training.data.pixels import read_image
from ra_training.data.readers import read
from ra_training.data.sample import Sample
from ra_training.errors import TrainingError

IMAGE = Making(unit="image", rows=48, columns=64)
HAND = Making(unit="hand", rows=64, columns=48, image_left="right")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Three generated radiographs of both hands, as DICOM files."""
    root = tmp_path_factory.mktemp("cohort")
    options = f"--n 3 --seed 5 --size 400 --out {root}".split()
    assert CliRunner().invoke(command, options).exit_code == 0
    return read("phantom", root).samples


def test_images_are_those_of_the_engine(cohort: tuple[Sample, ...], tmp_path: Path) -> None:
    made = make(cohort, IMAGE, tmp_path, processes=1)
    assert not made.refused
    assert made.prepared.samples == cohort
    spec = Preprocessing(kind="letterbox", rows=48, columns=64)
    assert cohort[1].image is not None
    tensor = prepare_image(read_image(cohort[1].image), spec)[0][0]
    shown = np.clip(tensor * spec.std + spec.mean, 0, 1) * 255
    assert np.abs(made.prepared.pixels[1] - shown).max() <= 0.5 + 1e-3
    assert isinstance(made.prepared.pixels, np.memmap)


def test_hands_carry_their_own_joints(cohort: tuple[Sample, ...], tmp_path: Path) -> None:
    made = make(cohort, HAND, tmp_path, processes=1)
    assert len(made.prepared) + 2 * len(made.refused) == 6
    assert len(made.prepared) >= 4
    for sample in made.prepared.samples:
        whole = next(s for s in cohort if s.key == sample.key.rpartition("#")[0])
        letter = sample.hands[0].upper()
        own = sum(v for k, v in whole.joints.items() if k[0] == letter)
        assert (sample.score, sample.patient_id) == (own, whole.patient_id)


def test_hands_are_not_guessed(cohort: tuple[Sample, ...], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="State image_left"):
        make(cohort[:1], replace(HAND, image_left=""), tmp_path / "a", processes=1)
    bare = [replace(s, joints={}) for s in cohort[:1]]
    with pytest.raises(TrainingError, match="none of 1"):
        make(bare, HAND, tmp_path / "b", processes=1)


def test_an_interrupted_run_goes_on(
    cohort: tuple[Sample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ra_training.data import making

    monkeypatch.setattr(making, "_CHUNK", 1)
    whole = make(cohort, IMAGE, tmp_path / "whole", processes=1)
    work, done = making._chunk, []

    def cut(job: tuple[int, tuple[Sample, ...], Making, Path]) -> None:
        if job[0] == 2:
            raise KeyboardInterrupt
        work(job)

    monkeypatch.setattr(making, "_chunk", cut)
    with pytest.raises(KeyboardInterrupt):
        make(cohort, IMAGE, tmp_path / "cut", processes=1)

    def count(job: tuple[int, tuple[Sample, ...], Making, Path]) -> None:
        done.append(job[0])
        work(job)

    monkeypatch.setattr(making, "_chunk", count)
    again = make(cohort, IMAGE, tmp_path / "cut", processes=1)
    assert done == [2]
    assert np.array_equal(again.prepared.pixels, whole.prepared.pixels)
    with pytest.raises(TrainingError) as caught:
        make(cohort[:2], IMAGE, tmp_path / "cut", processes=1)
    assert caught.value.code == "cache-stale"


def test_the_beginning_of_another_set_is_refused(
    cohort: tuple[Sample, ...], tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "facts.json").write_text(json.dumps({"unit": "hand"}))
    with pytest.raises(TrainingError, match="beginning of another set"):
        make(cohort, IMAGE, tmp_path, processes=1)


def test_changed_pixels_of_a_file_make_the_cache_stale(tmp_path: Path) -> None:
    from tests.support.sets import picture

    image = picture(tmp_path / "a.png", seed=1)
    sample = Sample(
        key="a", patient_id="p", visit="1", source="table", image=image, hands="left", score=1.0
    )
    make([sample], IMAGE, tmp_path / "cache", processes=1)
    picture(image, seed=2)
    with pytest.raises(TrainingError, match="made in another way"):
        make([sample], IMAGE, tmp_path / "cache", processes=1)


def test_refused_files_are_told_again_from_the_cache(tmp_path: Path) -> None:
    from tests.support.sets import picture

    good = Sample(
        key="a", patient_id="p", visit="1", source="table", hands="left",
        image=picture(tmp_path / "a.png"),
    )  # fmt: skip
    bad = replace(good, key="b", image=tmp_path / "b.png")
    first = make([good, bad], IMAGE, tmp_path / "cache", processes=1)
    assert [(r.where, r.code) for r in first.refused] == [("b", "image-missing")]
    assert make([good, bad], IMAGE, tmp_path / "cache", processes=1).refused == first.refused


def test_processes_change_nothing(
    cohort: tuple[Sample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ra_training.data import making

    monkeypatch.setattr(making, "_CHUNK", 2)
    one = make(cohort, IMAGE, tmp_path / "one", processes=1)
    two = make(cohort, IMAGE, tmp_path / "two", processes=2)
    assert np.array_equal(one.prepared.pixels, two.prepared.pixels)
