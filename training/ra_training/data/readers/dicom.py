"""Folders of DICOM radiographs without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ra_training.data.pixels import is_dicom
from ra_training.data.report import Account, DataSet
from ra_training.data.sample import Hands, Sample, Sex
from ra_training.errors import TrainingError

_SIDES: dict[str, Hands] = {"L": "left", "R": "right", "B": "both"}
_SEXES: dict[str, Sex] = {"F": "F", "M": "M"}
_MODALITIES = frozenset({"CR", "DX", "RG", "OT"})
_TAGS = (
    "SOPInstanceUID",
    "PatientID",
    "StudyDate",
    "StudyInstanceUID",
    "ImageLaterality",
    "Laterality",
    "PatientSex",
    "Modality",
    "Rows",
)


def read(root: Path) -> DataSet:
    """Read every object below ``root``; labels come by a table (reader ``table``).

    Raises:
        TrainingError: no folder, or no DICOM file.
    """
    account = Account("dicom", root)
    objects = []
    for path in account.files:
        if is_dicom(path):
            objects.append(path)
        else:
            account.aside(path, "not DICOM")
    if not objects:
        raise TrainingError(
            code="layout-unknown", text=f"no DICOM file in {root.name}", hint="name the folder"
        )
    drafts: dict[str, tuple[Path, Sample]] = {}
    for path in objects:
        _take(account, path, drafts)
    good = account.images(path for path, _ in drafts.values())
    account.note("no labels: join them with a table whose image column names these files")
    return account.close(s for path, s in drafts.values() if path in good)


def _take(account: Account, path: Path, drafts: dict[str, tuple[Path, Sample]]) -> None:
    from pydicom import dcmread

    try:
        ds = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        facts = {name: str(ds.get(name, "") or "").strip() for name in _TAGS}
    except Exception as error:  # noqa: BLE001 - whatever the parser says, the file is refused
        account.refuse(
            path, "image-unreadable", f"no DICOM object ({type(error).__name__})", "copy it again"
        )
        return
    trouble = _trouble(facts, drafts)
    if trouble is not None:
        account.refuse(path, *trouble)
        return
    drafts[facts["SOPInstanceUID"]] = (path, _sample(path, facts))


def _trouble(facts: dict[str, str], drafts: dict[str, Any]) -> tuple[str, str, str] | None:
    if not facts["Rows"]:
        return "image-missing", "an object without an image", "leave it out"
    if facts["Modality"] not in _MODALITIES:
        return "modality-unknown", f"modality {facts['Modality'] or 'absent'}", "give radiographs"
    if not facts["SOPInstanceUID"] or not facts["PatientID"]:
        return "identifier-missing", "no instance UID or no patient", "send it again with both"
    if facts["SOPInstanceUID"] in drafts:
        return "row-duplicate", "another file holds this instance", "keep one copy"
    return None


def _sample(path: Path, facts: dict[str, str]) -> Sample:
    letter = facts["ImageLaterality"] or facts["Laterality"]
    return Sample(
        key=facts["SOPInstanceUID"], patient_id=facts["PatientID"],
        visit=facts["StudyDate"] or facts["StudyInstanceUID"] or "1", source="dicom", image=path,
        hands=_SIDES.get(letter, "unknown"), sex=_SEXES.get(facts["PatientSex"]),
    )  # fmt: skip
