"""RAM-W600: postero-anterior wrists with erosion grades of six sites and bone masks.

Licence: CC BY 4.0; attribute Yang et al., RAM-W600 (arXiv 2507.05193, doi 10.57967/hf/5328).
Files are named ``PPPP_EEEE_S`` (patient, examination, L or R); patients are split by the first.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ra_training.data.readers.tables import number, rows
from ra_training.data.report import Account, DataSet
from ra_training.data.sample import Hands, Sample
from ra_training.errors import TrainingError

SITES = {
    "Metacarpal1st": "BE_CMC-T", "Trapzium": "BE_Tm", "Scaphoid": "BE_S", "Lunate": "BE_L",
    "DistalRadius": "BE_R", "DistalUlna": "BE_U",
}  # fmt: skip
"""Their joint names (their spelling) to our sites."""
BONES = 14
TABLE = "JointBE_SvdH_GT_reformatted.json"
_NAME = re.compile(r"(?P<patient>\d{4})_(?P<visit>\d{4})_(?P<side>[LR])")


def read(root: Path) -> DataSet:
    """Read ``image/*.bmp``, the grade table, joint crops and ``mask/{train,val,test}/*.npy``.

    A flat folder of BMP files (a sample of the set) is read as well. A wrist has no SvdH total.

    Raises:
        TrainingError: no folder, or no image named as the set names them.
    """
    account = Account("ram-w600", root)
    grades = _grades(account)
    images: dict[str, Path] = {}
    crops: dict[str, dict[str, Path]] = defaultdict(dict)
    masks: dict[str, dict[str, object]] = defaultdict(dict)
    for path in account.files:
        _place(account, path, images, crops, masks)
    if not images:
        raise TrainingError(
            code="layout-unknown",
            text=f"no image named PPPP_EEEE_S.bmp in {root.name}",
            hint="name the folder that holds image/ and mask/",
        )
    good = account.images([*images.values(), *(c for own in crops.values() for c in own.values())])
    kept = {key: path for key, path in images.items() if path in good}
    for key in sorted(set(grades) - set(images)):
        account.refuse(f"{TABLE}:{key}", "image-missing", "grades without an image", "download it")
    bare = len(set(kept) - set(grades))
    if grades and bare:
        account.note(f"{bare} wrists have no joint grades")
    samples = [_sample(key, path, grades.get(key, {})) for key, path in kept.items()]
    account.note("a wrist has no SvdH total: only erosion grades of six sites")
    return account.close(
        samples,
        crops={
            f"w600-{k}": {s: p for s, p in own.items() if p in good} for k, own in crops.items()
        },
        masks={f"w600-{k}": own for k, own in masks.items() if k in kept},
    )


def _place(
    account: Account,
    path: Path,
    images: dict[str, Path],
    crops: dict[str, dict[str, Path]],
    masks: dict[str, dict[str, object]],
) -> None:
    parts = path.relative_to(account.root).parts
    match = _NAME.fullmatch(path.stem)
    if path.suffix.lower() == ".bmp" and len(parts) > 2 and _NAME.fullmatch(parts[-2]):
        own = _NAME.fullmatch(parts[-2])
        site = SITES.get(path.stem)
        if site is None or own is None:
            account.refuse(path, "site-unknown", "no joint of this set", "check the file's name")
        else:
            crops[parts[-2]][f"{own['side']}_{site}"] = path
    elif path.suffix.lower() == ".bmp":
        if match is None:
            account.refuse(path, "name-unknown", "not PPPP_EEEE_S", "keep the set's file names")
        elif path.stem in images:
            account.refuse(path, "row-duplicate", "another file has this name", "keep one")
        else:
            images[path.stem] = path
    elif path.suffix == ".npy" and match is not None:
        _mask(account, path, masks)
    elif path.name == "labels.csv":
        _foreign(account, path)


def _mask(account: Account, path: Path, masks: dict[str, dict[str, object]]) -> None:
    """Bone masks: (14, rows, columns) of 0 and 1."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        account.refuse(path, "mask-unreadable", "no array of numbers", "download it again")
        return
    if array.ndim != 3 or array.shape[0] != BONES or not np.isin(array, (0, 1)).all():
        account.refuse(path, "mask-invalid", "not 14 layers of 0 and 1", "download it again")
        return
    account.read(path)
    masks[path.stem]["bones"] = path


def _foreign(account: Account, path: Path) -> None:
    """A sample of the set came with somebody's erosive / non-erosive column."""
    rows(path)
    account.read(path)
    account.note(
        "labels.csv (erosive or not) is no SvdH grade and its rule is unknown: not used as a score"
    )


def _grades(account: Account) -> dict[str, dict[str, float]]:
    path = account.root / TABLE
    if not path.is_file():
        account.note(f"no {TABLE}: images without grades")
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(str(e["identifier"]), dict(e["joints"])) for e in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            code="table-unreadable",
            text=f"{TABLE} is not the list of identifier and joints that it should be",
            hint="download it again",
        ) from error
    account.read(path)
    found: dict[str, dict[str, float]] = {}
    for key, joints in pairs:
        try:
            own = _joints(key, joints)
        except ValueError as error:
            account.refuse(f"{TABLE}:{key}", "label-invalid", str(error), "correct the entry")
            continue
        if key in found:
            account.refuse(f"{TABLE}:{key}", "row-duplicate", "listed twice", "keep one entry")
        else:
            found[key] = own
    return found


def _joints(key: str, joints: dict[str, Any]) -> dict[str, float]:
    match = _NAME.fullmatch(key)
    if match is None:
        raise ValueError("the identifier is not PPPP_EEEE_S")
    unknown = sorted(set(joints) - set(SITES))
    if unknown:
        raise ValueError(f"unknown joint {unknown[0][:30]}")
    return {f"{match['side']}_{SITES[j]}": number(str(v), 0, 5) for j, v in joints.items()}


def _sample(key: str, path: Path, joints: dict[str, float]) -> Sample:
    match = _NAME.fullmatch(key)
    assert match is not None
    side: Hands = "left" if match["side"] == "L" else "right"
    return Sample(
        key=f"w600-{key}", patient_id=f"w600-{match['patient']}", visit=match["visit"],
        source="ram-w600", image=path, hands=side, joints=joints,
    )  # fmt: skip
