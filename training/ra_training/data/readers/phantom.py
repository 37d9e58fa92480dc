"""What ``ra-train phantom`` wrote: images and ``labels.csv``."""

from __future__ import annotations

from pathlib import Path

from ra_training.data.readers import table
from ra_training.data.report import DataSet


def read(root: Path) -> DataSet:
    """Read generated radiographs; formats ``dicom`` and ``png`` (``ram-h1200`` has its reader).

    Raises:
        TrainingError: as the reader of plain tables.
    """
    return table.read(root, source="phantom")
