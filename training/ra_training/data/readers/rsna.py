"""RSNA paediatric bone age 2017: tables of months and sex, one PNG a left hand.

Licence: academic, educational and other non-commercial use, with a link and the citation
Halabi et al., Radiology 2018; images are never shipped with this project.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ra_training.data.readers.tables import column, number, rows
from ra_training.data.report import Account, DataSet
from ra_training.data.sample import Sample, Sex
from ra_training.errors import TrainingError

_IDS = ("id", "Image ID", "Case ID")
_MONTHS = ("boneage", "Bone Age (months)", "Ground truth bone age (months)")
_MALE, _SEX = ("male",), ("sex", "gender")
_SEXES: dict[str, Sex] = {
    "true": "M", "1": "M", "m": "M", "male": "M", "false": "F", "0": "F", "f": "F", "female": "F",
}  # fmt: skip
_MAX_MONTHS = 240.0


def read(root: Path) -> DataSet:
    """Read every table below ``root`` (train, validation, test; headers differ) with its images.

    Raises:
        TrainingError: no folder, or no table with an identifier.
    """
    account = Account("rsna", root)
    stems: dict[str, list[Path]] = defaultdict(list)
    for path in account.files:
        if path.suffix.lower() == ".png":
            stems[path.stem].append(path)
    drafts: dict[str, tuple[str, float | None, Sex | None]] = {}
    tables = 0
    for path in account.files:
        if path.suffix.lower() == ".csv":
            tables += _table(account, path, drafts)
    if not tables:
        raise TrainingError(
            code="layout-unknown",
            text=f"no table with an id column in {root.name}",
            hint="expected boneage-training-dataset.csv (id, boneage, male) beside its images",
        )
    return account.close(_samples(account, stems, drafts))


def _table(
    account: Account, path: Path, drafts: dict[str, tuple[str, float | None, Sex | None]]
) -> bool:
    try:
        found = rows(path)
    except TrainingError as error:
        account.refuse(path, error.code, error.text, error.hint)
        return False
    name, months = column(found.header, _IDS), column(found.header, _MONTHS)
    sex = column(found.header, _MALE) or column(found.header, _SEX)
    if name is None:
        account.aside(path, "no identifier column")
        return False
    account.read(path)
    found.refuse_odd(account, path)
    found.note_unread(account, path, (name, months, sex))
    if months is None:
        account.note(f"{account.name(path)} has no bone ages: its images get none")
    for line, row in found.rows:
        where = f"{account.name(path)}:{line}"
        key = row[name].removesuffix(".png")
        try:
            age = number(row[months], 1, _MAX_MONTHS) if months is not None else None
            own = _sex(row[sex]) if sex is not None else None
        except ValueError as error:
            account.refuse(where, "label-invalid", str(error), "correct the cell")
            continue
        if not key or key in drafts:
            why = "no identifier" if not key else "another row has this identifier"
            account.refuse(where, "row-duplicate" if key else "row-empty", why, "remove the row")
            continue
        drafts[key] = (where, age, own)
    return True


def _sex(text: str) -> Sex:
    try:
        return _SEXES[text.lower()]
    except KeyError:
        raise ValueError(f"{text[:20]!r} is neither male nor female") from None


def _samples(
    account: Account,
    stems: dict[str, list[Path]],
    drafts: dict[str, tuple[str, float | None, Sex | None]],
) -> list[Sample]:
    wanted = {}
    for key, (where, _, _) in drafts.items():
        paths = stems.get(key, [])
        if len(paths) == 1:
            wanted[key] = paths[0]
        elif not paths:
            account.refuse(where, "image-missing", f"no {key}.png", "download the image")
        else:
            account.refuse(where, "image-ambiguous", f"{len(paths)} files {key}.png", "keep one")
    for stem, paths in stems.items():
        if stem not in drafts or len(paths) > 1:
            for path in paths:
                account.refuse(path, "label-missing", "no row names it", "add a row or remove it")
    good = account.images(wanted.values())
    return [
        Sample(
            key=f"rsna-{key}", patient_id=f"rsna-{key}", visit="1", source="rsna", image=path,
            hands="left", months=drafts[key][1], sex=drafts[key][2],
        )
        for key, path in wanted.items()
        if path in good
    ]  # fmt: skip
