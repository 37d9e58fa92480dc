"""The images of the gate on disk: whole or refused, whatever happened to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.errors import EngineFileError
from ra_engine.samples import Samples, digest_of, load_samples, save_samples
from tests.support.engines import images

MADE = Samples(gate=images(1)[:, :, :6, :4], calibration_digest="ab", evidence=0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_samples(tmp_path / "s.npz", MADE)
    return tmp_path / "s.npz"


def outcome(path: Path, content: bytes) -> str:
    """What reading ``content`` gives: the samples as they were, or our error's remedy."""
    path.write_bytes(content)
    try:
        held = load_samples(path)
    except EngineFileError as error:
        return error.hint
    assert (held.gate == MADE.gate).all()
    assert (held.calibration_digest, held.evidence) == ("ab", 0.5)
    return "whole"


def test_they_come_back_without_the_calibration_but_with_its_digest(tmp_path: Path) -> None:
    arrays = images(3, seed=1)
    made = Samples(
        gate=images(2), calibration=arrays, calibration_digest=digest_of(arrays), evidence=0.5
    )
    save_samples(tmp_path / "s.npz", made)
    held = load_samples(tmp_path / "s.npz")
    assert (held.gate == made.gate).all()
    assert held.calibration is None
    assert (held.calibration_digest, held.evidence) == (made.calibration_digest, 0.5)


def test_none_were_made_yet(tmp_path: Path) -> None:
    with pytest.raises(EngineFileError, match="No engine was built"):
        load_samples(tmp_path / "none.npz")


def test_a_file_that_was_cut_anywhere_is_refused(path: Path) -> None:
    raw = path.read_bytes()
    assert {outcome(path, raw[:size]) for size in range(len(raw))} == {EngineFileError.hint}


def test_a_flipped_bit_is_refused_or_changes_nothing(path: Path) -> None:
    raw, found = path.read_bytes(), set()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        found.add(outcome(path, bytes(changed)))
    assert found == {EngineFileError.hint, "whole"}  # a time stamp may be any


@pytest.mark.parametrize("content", [b"", b"PK", b"junk" * 99, b"\x93NUMPY", b"PK\x03\x04" * 9])
def test_what_is_no_archive_is_refused(path: Path, content: bytes) -> None:
    assert outcome(path, content) == EngineFileError.hint


def test_another_archive_is_refused(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, other=MADE.gate)
    with pytest.raises(EngineFileError, match="KeyError"):
        load_samples(path)
