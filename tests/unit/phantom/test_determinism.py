"""The same seed gives the same bytes, in every process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import command

FORMATS = ("dicom", "png", "ram-h1200")


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("form", FORMATS)
def test_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path, form: str) -> None:
    found = []
    for hash_seed in ("0", "1"):
        out = tmp_path / hash_seed
        subprocess.run(
            [
                *command("ra-train"), "phantom", "--n", "3", "--seed", "7", "--out", str(out),
                "--hands", "mixed", "--visits", "2", "--prior", "flat", "--size", "192",
                "--format", form,
            ],
            env={**os.environ, "PYTHONHASHSEED": hash_seed}, check=True, timeout=120,
        )  # fmt: skip
        found.append(digests(out))
    assert found[0] == found[1]
    assert "labels.csv" in found[0]


def test_no_torch_and_no_dicom_to_render() -> None:
    code = (
        "import sys; from ra_training.phantom import render_exposure, sample_grades\n"
        "render_exposure(1, sample_grades(1), height=160)\n"
        "assert not {'torch', 'pydicom', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
