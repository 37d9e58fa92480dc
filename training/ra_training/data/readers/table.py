"""Any images with a table: for whoever holds the paper's set, or a hospital's own readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ra_training.data.readers.tables import Table, bare, column, number, rows
from ra_training.data.report import Account, DataSet
from ra_training.data.sample import Hands, Sample, Sex
from ra_training.errors import TrainingError
from ra_training.phantom.sites import SITES, max_grade

_COLUMNS = {
    "image": ("image", "file", "path", "dicom"),
    "patient": ("patient", "patient_id"),
    "visit": ("visit", "timepoint"),
    "score": ("score", "total", "svdh"),
    "hands": ("hands", "side", "laterality"),
    "months": ("months", "boneage"),
    "sex": ("sex",),
}
_HANDS: dict[str, Hands] = {
    "left": "left", "l": "left", "right": "right", "r": "right", "both": "both", "b": "both",
    "": "unknown", "unknown": "unknown",
}  # fmt: skip
_SEX: dict[str, Sex | None] = {"f": "F", "female": "F", "m": "M", "male": "M", "": None}
JOINTS = {f"{side}_{site}": max_grade(site) for side in "LR" for site in SITES}
"""Joint columns and their highest grades."""
_READER = "reader_"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The header's own spellings.

    Attributes:
        names: key of ``_COLUMNS`` -> column or None; joints: column -> our name of the site;
            readers: column -> name of the reader.
    """

    names: Mapping[str, str | None]
    joints: Mapping[str, str]
    readers: Mapping[str, str]


def read(root: Path, *, source: str = "table") -> DataSet:
    """Read ``labels.csv`` (or the only CSV or TSV) of a folder and the images that it names.

    Columns: image (below the folder; DICOM or PNG, BMP, JPEG, TIFF), patient, then as they exist
    visit, hands, score, months, sex, joints as ``L_BE_MCP-I``, readers' totals as ``reader_NAME``.
    Without a score column the score is the mean of the readers, or the sum of all joints.

    Raises:
        TrainingError: no folder, no table, or no image and patient column.
    """
    account = Account(source, root)
    path = _find(account)
    found = rows(path)
    columns = _columns(path, found)
    account.read(path)
    found.refuse_odd(account, path)
    found.note_unread(account, path, [*columns.names.values(), *columns.joints, *columns.readers])
    drafts: list[tuple[str, Sample]] = []
    for line, row in found.rows:
        where = f"{account.name(path)}:{line}"
        try:
            drafts.append((where, _sample(root, row, columns, source)))
        except ValueError as error:
            account.refuse(where, "label-invalid", str(error), "correct the row")
    return account.close(_with_images(account, drafts))


def _columns(path: Path, found: Table) -> _Columns:
    names = {key: column(found.header, spellings) for key, spellings in _COLUMNS.items()}
    if names["image"] is None or names["patient"] is None:
        raise TrainingError(
            code="table-columns",
            text=f"{path.name} has no image column, or no patient column",
            hint="name them image and patient",
        )
    sites = {bare(site): site for site in JOINTS}
    joints = {h: sites[bare(h)] for h in found.header if bare(h) in sites}
    if len(set(joints.values())) != len(joints):
        raise TrainingError(
            code="table-columns", text=f"{path.name} has two columns of one site",
            hint="keep one",
        )  # fmt: skip
    readers = {h: h[len(_READER) :] for h in found.header if h.lower().startswith(_READER)}
    return _Columns(names=names, joints=joints, readers=readers)


def _find(account: Account) -> Path:
    tables = [p for p in account.files if p.suffix.lower() in (".csv", ".tsv")]
    named = [p for p in tables if p == account.root / "labels.csv"] or tables
    if len(named) != 1:
        raise TrainingError(
            code="table-missing" if not named else "table-ambiguous",
            text=f"{len(named)} tables in {account.root.name}",
            hint="keep one CSV, or name it labels.csv",
        )
    return named[0]


def _with_images(account: Account, drafts: list[tuple[str, Sample]]) -> list[Sample]:
    there = []
    for where, sample in drafts:
        assert sample.image is not None
        if sample.image.is_file():
            there.append((where, sample))
        else:
            account.refuse(where, "image-missing", "the image is not there", "check the path")
    good = account.images(s.image for _, s in there if s.image is not None)
    kept: dict[str, Sample] = {}
    for where, sample in there:
        if sample.image not in good:
            account.refuse(where, "image-refused", "its image is refused", "see the image's line")
        elif sample.key in kept:
            account.refuse(where, "row-duplicate", "another row names this image", "keep one row")
        else:
            kept[sample.key] = sample
    return list(kept.values())


def _sample(root: Path, row: Mapping[str, str], columns: _Columns, source: str) -> Sample:
    def cell(key: str) -> str:
        name = columns.names[key]
        return row[name] if name is not None else ""

    if not cell("image") or not cell("patient"):
        raise ValueError("no image, or no patient")
    if cell("hands").lower() not in _HANDS or cell("sex").lower() not in _SEX:
        raise ValueError("hands must be left, right or both; sex F, M or empty")
    image = (root / cell("image")).resolve()
    if not image.is_relative_to(root.resolve()):
        raise ValueError("the image lies outside the folder")
    hands = _HANDS[cell("hands").lower()]
    joints = {site: _grade(site, row[c]) for c, site in columns.joints.items() if row[c]}
    limit = 140.0 if hands in ("left", "right") else 280.0
    readers = {n: number(row[c], 0, limit) for c, n in columns.readers.items() if row[c]}
    return Sample(
        key=image.relative_to(root.resolve()).as_posix(), patient_id=cell("patient"),
        visit=cell("visit") or "1", source=source, image=image, hands=hands,
        score=_score(cell("score"), hands, limit, joints, readers),
        months=number(cell("months"), 0, 240) if cell("months") else None,
        sex=_SEX[cell("sex").lower()], joints=joints, readers=readers,
    )  # fmt: skip


def _grade(name: str, text: str) -> float:
    try:
        return number(text, 0, JOINTS[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _score(
    text: str, hands: Hands, limit: float, joints: Mapping[str, float], readers: Mapping[str, float]
) -> float | None:
    """The stated total, compared with its joints where all are there."""
    shown = {"left": "L", "right": "R", "both": "LR", "unknown": "LR"}[hands]
    complete = hands != "unknown" and all(f"{side}_{s}" in joints for side in shown for s in SITES)
    total = sum(v for k, v in joints.items() if k[0] in shown) if complete else None
    if text:
        stated = number(text, 0, limit)
        if total is not None and not readers and abs(stated - total) > 1e-6:
            raise ValueError(f"the score is {stated:g}, its joints add up to {total:g}")
        return stated
    return sum(readers.values()) / len(readers) if readers else total
