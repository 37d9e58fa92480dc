"""Prepared sets: saved with hashes, refused when stale or changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_training.data.prepared import Prepared, load
from ra_training.data.sample import Sample
from ra_training.errors import TrainingError

FACTS = {"rows": 4, "columns": 3}


def prepared(n: int = 5) -> Prepared:
    """Small numbered images."""
    samples = tuple(
        Sample(
            key=f"k{i}", patient_id=f"p{i // 2}", visit="1", source="table",
            image=Path("a/b.png") if i else None, hands="left", score=float(i),
            joints={"L_BE_R": 2.0}, readers={"A": 1.5},
        )
        for i in range(n)
    )  # fmt: skip
    pixels = np.arange(n * 12, dtype=np.uint8).reshape(n, 4, 3)
    return Prepared(pixels=pixels, samples=samples, unit="hand")


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    one = prepared()
    one.save(tmp_path, FACTS)
    back = load(tmp_path, FACTS)
    assert back.samples == one.samples
    assert np.array_equal(back.pixels, one.pixels)
    assert isinstance(back.pixels, np.memmap)
    assert back.take([3, 1]).samples == (one.samples[3], one.samples[1])


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        prepared().save(tmp_path / name, FACTS)
    for file in ("pixels.npy", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("what", ["missing", "stale", "changed"])
def test_a_set_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, what: str) -> None:
    if what != "missing":
        prepared().save(tmp_path, FACTS)
    if what == "changed":
        raw = bytearray((tmp_path / "pixels.npy").read_bytes())
        raw[-1] ^= 1
        (tmp_path / "pixels.npy").write_bytes(raw)
    with pytest.raises(TrainingError) as caught:
        load(tmp_path, {"rows": 9} if what == "stale" else FACTS)
    assert caught.value.code == f"cache-{what}"


def test_labels_that_are_not_there_are_named() -> None:
    with pytest.raises(TrainingError, match="5 of 5 images have no months, first k0"):
        prepared().targets("months")


def test_images_and_samples_must_match() -> None:
    with pytest.raises(ValueError, match="5 samples"):
        Prepared(pixels=np.zeros((2, 4, 3), np.uint8), samples=prepared().samples, unit="hand")
