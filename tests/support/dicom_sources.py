"""Sources as hospitals send them: clean ones, and the dirty-input matrix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from pydicom import Dataset, dcmread

from ra_training.phantom import generate
from ra_training.phantom.dicom import write_dicom

Dirt = Callable[[Dataset], None]


def clean(path: Path, *, hands: str = "both", sop_class: str = "DX", seed: int = 11) -> Path:
    """A generated DX or CR object."""
    sample = next(iter(generate(1, seed, hands=hands, prior="flat", height=400)))
    write_dicom(sample, path, sop_class=sop_class)  # type: ignore[arg-type]
    return path


def dirty(path: Path, base: Path, dirt: Dirt) -> Path:
    """A copy of ``base`` with one fault in its header."""
    ds = dcmread(base)
    dirt(ds)
    ds.save_as(path, enforce_file_format=False)
    return path


def without(keyword: str) -> Dirt:
    """Remove an attribute."""

    def apply(ds: Dataset) -> None:
        if keyword in ds:
            delattr(ds, keyword)

    return apply


def with_value(keyword: str, value: object) -> Dirt:
    """Set a raw, perhaps invalid, value."""

    def apply(ds: Dataset) -> None:
        from pydicom import config

        mode = config.settings.writing_validation_mode
        config.settings.writing_validation_mode = config.IGNORE
        try:
            setattr(ds, keyword, value)
        finally:
            config.settings.writing_validation_mode = mode

    return apply


def named(character_set: str | list[str], name: str) -> Dirt:
    """Another script in the patient's name."""

    def apply(ds: Dataset) -> None:
        ds.SpecificCharacterSet = character_set
        ds.PatientName = name

    return apply


MATRIX: dict[str, Dirt] = {
    **{
        f"no-{k}": without(k)
        for k in (
            "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber",
            "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "PatientOrientation",
            "ImageLaterality", "Manufacturer",
        )
    },
    "sex-X": with_value("PatientSex", "X"),
    "birth-year-only": with_value("PatientBirthDate", "1960"),
    "dotted-date": with_value("StudyDate", "2026.11.01"),
    "impossible-date": with_value("StudyDate", "20261350"),
    "colon-time": with_value("StudyTime", "10:11:12"),
    "long-name": with_value("PatientName", "A" * 70),
    "long-accession": with_value("AccessionNumber", "ACC" * 9),
    "age-word": with_value("PatientAge", "old"),
    "japanese": named(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "cyrillic": named("ISO_IR 144", "Иванов^Иван"),
    "greek": named("ISO_IR 126", "Παπαδόπουλος^Γιώργος"),
    "utf-8": named("ISO_IR 192", "Müller^Jürgen=山田^太郎"),
    "laterality-left": with_value("ImageLaterality", "L"),
}  # fmt: skip
TODAY = date(2026, 11, 1)
