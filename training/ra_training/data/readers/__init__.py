"""One reader a layout: ``read(kind, folder)``; each checks file by file and tells what it left."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ra_training.data.report import DataSet

KINDS = {
    "rsna": "RSNA paediatric bone age: a CSV of months and sex, one PNG a hand",
    "ram-h1200": "RAM-H1200: erosion and joint-space grades, joint crops, bone and erosion masks",
    "ram-w600": "RAM-W600: wrists, erosion grades of six sites, bone masks",
    "table": "any images with a table: path, patient, visit, score",
    "dicom": "folders of DICOM radiographs without labels",
    "phantom": "what ra-train phantom wrote",
}


def read(kind: str, folder: Path) -> DataSet:
    """Read a set.

    Raises:
        TrainingError: no such folder, or nothing of that layout in it.
    """
    module = import_module(f"ra_training.data.readers.{kind.replace('-', '_')}")
    found: DataSet = module.read(folder)
    return found
