"""Write a generated radiograph as a DX or CR object; the same sample gives the same bytes."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from ra_training.phantom import PHANTOM_VERSION
from ra_training.phantom.cohort import VISIT_WEEKS, Sample
from ra_training.phantom.exposure import Exposure

SopClass = Literal["DX", "CR"]
_DEVICE = "ra-daemon phantom"


def derive_uid(*parts: str) -> str:
    """A 2.25 UID from sha256 of the parts (PS3.5 B.2)."""
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x50
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"


def write_dicom(sample: Sample, path: Path, *, sop_class: SopClass = "DX") -> None:
    """Write a sample of a cohort to ``path``."""
    number = sample.patient_id.rsplit("-", 1)[1]
    ds = _dataset(
        sample.exposure, sample.patient_id, str(sample.visit), sample.study_date, sop_class
    )
    ds.PatientName = f"Phantom^S{number}"
    _born(ds, _birth_date(sample), sample.study_date)
    _save(ds, path)


def write_nonhand_dicom(exposure: Exposure, name: str, day: date, path: Path) -> None:
    """Write an image that is no hand; its tags claim a hand, as tags do when they are wrong."""
    ds = _dataset(exposure, name, "1", day, "DX")
    ds.PatientName = "Phantom^Other"
    _born(ds, date(1970, 7, 1), day)
    _save(ds, path)


def _birth_date(sample: Sample) -> date:
    """By age and day of the first visit, so that every visit states the same."""
    past = sample.visit - 1
    first_day = sample.study_date - timedelta(weeks=VISIT_WEEKS * past)
    age = sample.age - past * VISIT_WEEKS / 52
    return first_day - timedelta(days=round(age * 365.25))


def _born(ds: Dataset, birth: date, day: date) -> None:
    """Birth date, and the whole years on ``day``."""
    years = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    ds.PatientBirthDate = birth.strftime("%Y%m%d")
    ds.PatientAge = f"{years:03d}Y"


def _dataset(
    exposure: Exposure, patient: str, visit: str, day: date, sop_class: SopClass
) -> Dataset:
    uid = (
        DigitalXRayImageStorageForPresentation if sop_class == "DX"
        else ComputedRadiographyImageStorage
    )  # fmt: skip
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid
    pixels = hashlib.sha256(exposure.pixels.tobytes()).hexdigest()
    ds.SOPInstanceUID = derive_uid("instance", patient, visit, sop_class, pixels)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID = derive_uid("study", patient, visit)
    ds.SeriesInstanceUID = derive_uid("series", patient, visit, sop_class)
    stamp = day.strftime("%Y%m%d")
    for keyword in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{keyword}Date", stamp)
        setattr(ds, f"{keyword}Time", "090000")
    ds.AccessionNumber = f"PH{derive_uid('acc', patient, visit)[-12:]}"
    ds.ReferringPhysicianName = ""
    ds.StudyID = visit
    ds.StudyDescription = "XR hands (generated image)"
    ds.SeriesDescription = "Generated radiograph, no patient"
    ds.PatientID = patient
    ds.PatientSex = "F" if exposure.female else "M"
    ds.Modality = sop_class
    ds.Manufacturer = ds.ManufacturerModelName = _DEVICE
    ds.DeviceSerialNumber = "1"
    ds.SoftwareVersions = PHANTOM_VERSION
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.BodyPartExamined = "HAND"
    ds.ViewPosition = "PA"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PatientOrientation = ["L", "F"]
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    _special(ds, exposure, sop_class)
    _pixels(ds, exposure)
    return ds


def _special(ds: Dataset, exposure: Exposure, sop_class: SopClass) -> None:
    if sop_class == "CR":
        ds.PlateID = "P1"
        ds.Laterality = exposure.laterality if exposure.laterality in ("L", "R") else ""
        return
    ds.ImageLaterality = exposure.laterality
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1 if exposure.photometric == "MONOCHROME1" else 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    inverse = exposure.photometric == "MONOCHROME1"
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    ds.PositionerType = ""
    ds.DetectorType = "DIRECT"
    ds.AcquisitionContextSequence = []
    ds.AnatomicRegionSequence = [_code("85562004", "SCT", "Hand")]
    view = _code("272479007", "SCT", "postero-anterior")
    view.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [view]


def _pixels(ds: Dataset, exposure: Exposure) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = exposure.photometric
    ds.Rows, ds.Columns = exposure.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, exposure.bits, exposure.bits - 1
    ds.PixelRepresentation = 0
    ds.ImagerPixelSpacing = [f"{exposure.spacing_mm:.6f}"] * 2
    ds.WindowCenter, ds.WindowWidth = exposure.window
    ds.PixelData = exposure.pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _save(ds: Dataset, path: Path) -> None:
    ds.save_as(path, enforce_file_format=True)
