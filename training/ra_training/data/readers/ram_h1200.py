"""RAM-H1200: hands with erosion and joint-space grades, joint crops, boxes and masks.

Licence: CC BY 4.0 (data card); attribute the authors of RAM-H1200 (arXiv 2605.05616). The layout
is read from the benchmark's loader, not yet from a download: see the note in every report.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from ra_training.data.readers.rle import Annotations
from ra_training.data.report import Account, DataSet
from ra_training.data.sample import Hands, Sample
from ra_training.errors import TrainingError
from ra_training.phantom.sites import EROSION_SITES, NARROWING_SITES, SITES, max_grade

TABLES = {"_annotation_be_scores.json": "BE", "_annotation_jsn_scores.json": "JSN"}
_COCO = ("_annotations_bone_rle.coco.json", "_annotations_be_rle.coco.json")
_NAME = re.compile(r"(?P<patient>.+?)_(?P<visit>\d+)_(?P<side>[LR])")
_IMAGES = frozenset({".bmp", ".png", ".jpg", ".jpeg"})
_OF = {"BE": EROSION_SITES, "JSN": NARROWING_SITES}


def read(root: Path) -> DataSet:
    """Read score tables with their joint crops, full-hand images, COCO boxes and RLE masks.

    Joints are prefixed ``L_`` or ``R_`` where the file name ends so, else ``U_``; the score is
    their sum where all 31 are there, else None. A hand without a full image keeps its crops and
    has ``image`` None.

    Raises:
        TrainingError: no folder, no table, or a table that is no JSON.
    """
    account = Account("ram-h1200", root)
    account.note("layout as in the benchmark's loader; not yet checked against a download")
    hands = _Hands(account)
    tables = [p for p in account.files if p.name in TABLES]
    if not tables:
        raise TrainingError(
            code="layout-unknown",
            text=f"no {' or '.join(TABLES)} in {root.name}",
            hint="name the folder that holds SvdH_BE_Scoring and SvdH_JSN_Scoring",
        )
    for table in tables:
        hands.table(table)
    annotations = Annotations(account)
    for path in account.files:
        if path.name in _COCO:
            annotations.add(path)
    return hands.close(annotations)


class _Hands:
    """Grades and crops by case, gathered over splits and over both score types."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.grades: dict[str, dict[str, float]] = defaultdict(dict)
        self.crops: dict[str, dict[str, Path]] = defaultdict(dict)
        self.claimed: set[Path] = set()

    def table(self, path: Path) -> None:
        """One split of one score type."""
        try:
            listed = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise TrainingError(
                code="table-unreadable",
                text=f"{self.account.name(path)} is no object of file names",
                hint="download it again",
            ) from error
        self.account.read(path)
        kind = TABLES[path.name]
        for name, scores in sorted(listed.items()):
            self._case(path, kind, Path(name).stem, scores)

    def _case(self, path: Path, kind: str, case: str, scores: Any) -> None:
        where = f"{self.account.name(path)}:{case}"
        if not isinstance(scores, dict):
            self.account.refuse(where, "label-invalid", "no object of grades", "correct the entry")
            return
        folder = path.parent / case
        if not folder.is_dir():
            self.account.refuse(where, "image-missing", "no folder of joint crops", "download it")
        for site in sorted(set(_OF[kind]) - set(scores)):
            self.account.refuse(
                f"{where}:{site}", "label-missing", "no grade", "complete the entry"
            )
        for site, value in sorted(scores.items()):
            self._joint(where, kind, case, folder, site, value)

    def _joint(self, where: str, kind: str, case: str, folder: Path, site: str, value: Any) -> None:
        spot = f"{where}:{site}"
        if site not in _OF[kind]:
            self.account.refuse(spot, "site-unknown", f"no {kind} site of SvdH", "check the key")
            return
        if type(value) is not int or not 0 <= value <= max_grade(site):
            why = f"grade {str(value)[:20]!r} is no whole number of 0-{max_grade(site)}"
            self.account.refuse(spot, "label-invalid", why, "correct the entry")
            return
        if site in self.grades[case]:
            self.account.refuse(spot, "row-duplicate", "graded in two tables", "keep one entry")
            return
        self.grades[case][site] = float(value)
        crop = folder / f"{site.removeprefix(f'{kind}_')}.bmp"
        if crop.is_file():
            self.crops[case][site] = crop
            self.claimed.add(crop)
        elif folder.is_dir():
            self.account.refuse(spot, "image-missing", f"no crop {crop.name}", "download it")

    def close(self, annotations: Annotations) -> DataSet:
        """Join hands with full images and masks; report crops that no grade names."""
        account = self.account
        images: dict[str, Path] = {}
        for path in account.files:
            if path.suffix.lower() not in _IMAGES or path in self.claimed:
                continue
            if path.parent.name in self.grades:
                account.refuse(path, "label-missing", "a crop without a grade", "see its table")
            elif path.stem not in self.grades:
                account.refuse(path, "label-missing", "no table names this hand", "add its grades")
            elif path.stem in images:
                account.refuse(path, "row-duplicate", "another file has this name", "keep one")
            else:
                images[path.stem] = path
        good = account.images([*self.claimed, *images.values()])
        bare = len(set(self.grades) - set(images))
        if bare:
            account.note(f"{bare} hands have joint crops but no full image")
        samples = [self._sample(c, g, images.get(c), good) for c, g in self.grades.items()]
        keys = {case: f"h1200-{case}" for case in self.grades}
        crops = {
            keys[c]: {f"{_side(c)[0]}_{s}": p for s, p in own.items() if p in good}
            for c, own in self.crops.items()
        }
        boxes = {keys[c]: b for c, b in annotations.boxes.items() if c in keys}
        masks = {keys[c]: m for c, m in annotations.masks.items() if c in keys}
        return account.close(samples, crops=crops, boxes=boxes, masks=masks)

    def _sample(
        self, case: str, grades: dict[str, float], image: Path | None, good: set[Path]
    ) -> Sample:
        match = _NAME.fullmatch(case)
        if match is None:
            self.account.note("file names tell no patient: each hand counts as one")
        letter, hands = _side(case)
        return Sample(
            key=f"h1200-{case}",
            patient_id=f"h1200-{match['patient'] if match else case}",
            visit=match["visit"] if match else "1",
            source="ram-h1200",
            image=image if image in good else None,
            hands=hands,
            score=sum(grades.values()) if len(grades) == len(SITES) else None,
            joints={f"{letter}_{site}": grades[site] for site in SITES if site in grades},
        )


def _side(case: str) -> tuple[str, Hands]:
    """Prefix of joints and hand, by the end of the file name."""
    if case.endswith("_L"):
        return "L", "left"
    return ("R", "right") if case.endswith("_R") else ("U", "unknown")
