"""COCO annotations: boxes and run-length masks, decoded without pycocotools."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.data.report import Account
from ra_training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """One annotated region, still encoded; ``decode`` gives (rows, columns) bool."""

    rows: int
    columns: int
    counts: tuple[int, ...]

    def decode(self) -> NDArray[np.bool_]:
        """COCO's order: runs of 0 and 1 in turn, down the columns."""
        flat = np.zeros(self.rows * self.columns, np.bool_)
        ends = np.cumsum(self.counts)
        for start, end in zip(ends[::2], ends[1::2], strict=False):
            flat[start:end] = True
        return flat.reshape(self.columns, self.rows).T


class Annotations:
    """Boxes and masks by case (the stem of the image's file name) and category."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.boxes: dict[str, dict[str, tuple[tuple[float, ...], ...]]] = defaultdict(dict)
        self.masks: dict[str, dict[str, object]] = defaultdict(dict)

    def add(self, path: Path) -> None:
        """Read one COCO file.

        Raises:
            TrainingError: it lacks images, categories or annotations.
        """
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            images = {i["id"]: Path(i["file_name"]).stem for i in held["images"]}
            names = {c["id"]: str(c["name"]) for c in held["categories"]}
            listed = list(held["annotations"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                code="table-unreadable",
                text=f"{self._account.name(path)} is no COCO file",
                hint="download it again",
            ) from error
        self._account.read(path)
        for entry in listed:
            where = f"{self._account.name(path)}:{entry.get('id', '?')}"
            try:
                case, name = images[entry["image_id"]], names[entry["category_id"]]
                self._take(case, name, entry)
            except (KeyError, ValueError, TypeError) as error:
                self._account.refuse(
                    where, "mask-invalid", f"{type(error).__name__}: {error}", "correct the entry"
                )

    def _take(self, case: str, name: str, entry: dict[str, Any]) -> None:
        if "segmentation" in entry:
            found = mask_of(entry["segmentation"])
            held = self.masks[case].get(name, ())
            assert isinstance(held, tuple)
            self.masks[case][name] = (*held, found)
        if "bbox" in entry:
            box = tuple(float(v) for v in entry["bbox"])
            if len(box) != 4 or min(box[2:]) < 0:
                raise ValueError("a box is x, y, width, height")
            self.boxes[case][name] = (*self.boxes[case].get(name, ()), box)


def mask_of(segmentation: dict[str, Any]) -> Mask:
    """A COCO RLE, its counts as a list or as the compressed string.

    Raises:
        ValueError: the runs do not fill the image.
    """
    rows, columns = (int(v) for v in segmentation["size"])
    counts = segmentation["counts"]
    runs = tuple(_runs(counts) if isinstance(counts, str) else (int(c) for c in counts))
    if sum(runs) != rows * columns or (runs and min(runs) < 0):
        raise ValueError("the runs do not fill the image")
    return Mask(rows=rows, columns=columns, counts=runs)


def _runs(text: str) -> list[int]:
    """COCO's string: groups of 5 bits, sign-extended, differences to the run before last."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text):
                raise ValueError("the runs are cut short")
            bits = ord(text[position]) - 48
            position += 1
            value |= (bits & 0x1F) << shift
            shift += 5
            more = bool(bits & 0x20)
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
