"""Small trees in the layouts of public data sets, made of noise."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from ra_training.phantom.sites import EROSION_SITES, NARROWING_SITES


def picture(path: Path, *, seed: int = 0, size: tuple[int, int] = (24, 18)) -> Path:
    """A grey image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tones = np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)
    Image.fromarray(tones).save(path)
    return path


def table(path: Path, *rows: list[str]) -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def rsna(root: Path) -> Path:
    """Two training hands and one of validation, with the headers of the challenge's tables."""
    table(
        root / "boneage-training-dataset.csv",
        ["id", "boneage", "male"],
        ["1377", "180", "False"],
        ["1378", "12", "True"],
    )
    table(
        root / "Bone Age Validation Dataset.csv",
        ["Image ID", "male", "Bone Age (months)"],
        ["2001", "TRUE", "94"],
    )
    for key, folder in (("1377", "train"), ("1378", "train"), ("2001", "validation")):
        picture(root / folder / f"{key}.png", seed=int(key))
    return root


def h1200(root: Path, *, cases: tuple[str, ...] = ("0001_01_L", "0002_01_R")) -> Path:
    """Erosion and joint-space crops with their tables, full hands, boxes and masks."""
    for kind, sites in (("BE", EROSION_SITES), ("JSN", NARROWING_SITES)):
        split = root / "SvdH_Scoring" / f"SvdH_{kind}_Scoring" / "train"
        scores = {f"{c}.bmp": {s: i % 4 for i, s in enumerate(sites)} for c in cases}
        for case in cases:
            for site in sites:
                picture(split / case / f"{site.removeprefix(f'{kind}_')}.bmp", size=(8, 8))
        (split / f"_annotation_{kind.lower()}_scores.json").write_text(json.dumps(scores))
    full = root / "Segmentation" / "train"
    for case in cases:
        picture(full / f"{case}.bmp", size=(4, 3))
    coco = {
        "images": [{"id": 7, "file_name": f"{cases[0]}.bmp"}],
        "categories": [{"id": 1, "name": "Radius"}],
        "annotations": [
            {
                "id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 1, 2, 2],
                "segmentation": {"size": [4, 3], "counts": [1, 2, 2, 2, 5]},
            }
        ],
    }  # fmt: skip
    (full / "_annotations_bone_rle.coco.json").write_text(json.dumps(coco))
    return root


def w600(root: Path) -> Path:
    """Two wrists of one patient and one of another, masks, crops and grades."""
    names = ("0172_0003_L", "0172_0004_L", "0200_0001_R")
    for i, name in enumerate(names):
        picture(root / "image" / f"{name}.bmp", seed=i)
        folder = root / "mask" / "train"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", np.zeros((14, 24, 18), np.uint8))
        picture(root / "train" / name / "Lunate.bmp", size=(6, 6))
    joints = {
        "Metacarpal1st": 0, "Trapzium": 1, "Scaphoid": 2, "Lunate": 3, "DistalRadius": 4,
        "DistalUlna": 5,
    }  # fmt: skip
    listed = [{"identifier": n, "joints": joints} for n in names]
    (root / "JointBE_SvdH_GT_reformatted.json").write_text(json.dumps(listed))
    return root
