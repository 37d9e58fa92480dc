"""Written objects: valid, consistent with their pixels, marked as generated."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydicom import dcmread

from ra_training.phantom import PHANTOM_VERSION, Sample, generate, render_nonhand
from ra_training.phantom.dicom import write_dicom, write_nonhand_dicom


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """A small cohort with every photometric interpretation and both depths."""
    found = list(generate(12, 4, hands="mixed", height=160))
    assert {s.exposure.photometric for s in found} == {"MONOCHROME1", "MONOCHROME2"}
    return found


def errors_of(path: Path) -> list[str]:
    """Error lines of the validator."""
    done = subprocess.run(
        ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="apt-get install dicom3tools")
@pytest.mark.parametrize("sop_class", ["DX", "CR"])
def test_validator_finds_no_error(
    tmp_path: Path, samples: list[Sample], sop_class: Literal["DX", "CR"]
) -> None:
    for index, sample in enumerate(samples):
        path = tmp_path / f"{index}.dcm"
        write_dicom(sample, path, sop_class=sop_class)
        assert errors_of(path) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="apt-get install dicom3tools")
def test_validator_accepts_an_image_of_no_hand(tmp_path: Path) -> None:
    path = tmp_path / "foot.dcm"
    write_nonhand_dicom(render_nonhand("foot", 1, height=160), "foot-1", date(2024, 1, 8), path)
    assert errors_of(path) == []


def test_header_says_what_the_sample_is(tmp_path: Path, samples: list[Sample]) -> None:
    for sample in samples:
        path = tmp_path / "a.dcm"
        write_dicom(sample, path)
        ds = dcmread(path)
        shot = sample.exposure
        assert np.array_equal(ds.pixel_array, shot.pixels)
        assert (ds.PhotometricInterpretation, ds.BitsStored) == (shot.photometric, shot.bits)
        inverse = shot.photometric == "MONOCHROME1"
        assert ds.PresentationLUTShape == ("INVERSE" if inverse else "IDENTITY")
        assert ds.ImageLaterality == shot.laterality
        assert float(ds.ImagerPixelSpacing[0]) == pytest.approx(shot.spacing_mm, abs=1e-5)
        assert ds.StudyDate == sample.study_date.strftime("%Y%m%d")
        assert 25 <= int(ds.PatientAge[:3]) <= 75
        assert ds.AnatomicRegionSequence[0].CodeValue == "85562004"
        assert ds.BurnedInAnnotation == "NO"
        assert ds.SoftwareVersions == PHANTOM_VERSION
        assert "generated" in ds.StudyDescription
        assert str(ds.SOPInstanceUID).startswith("2.25.")


def test_one_study_for_each_visit(tmp_path: Path) -> None:
    studies = []
    for sample in generate(2, 6, visits=2, height=160):
        path = tmp_path / f"{sample.patient_id}_{sample.visit}.dcm"
        write_dicom(sample, path)
        studies.append(str(dcmread(path, stop_before_pixels=True).StudyInstanceUID))
    assert len(set(studies)) == 4


@pytest.mark.parametrize("child_fraction", [0.0, 1.0])
def test_a_patient_is_born_once_and_the_age_follows(tmp_path: Path, child_fraction: float) -> None:
    born: dict[str, set[str]] = {}
    for sample in generate(12, 9, visits=3, height=160, child_fraction=child_fraction):
        path = tmp_path / "a.dcm"
        write_dicom(sample, path)
        ds = dcmread(path, stop_before_pixels=True)
        born.setdefault(str(ds.PatientID), set()).add(str(ds.PatientBirthDate))
        by_dates = (sample.study_date - date.fromisoformat(str(ds.PatientBirthDate))).days / 365.25
        assert int(ds.PatientAge[:3]) == int(by_dates + 0.002)  # a leap day more or less
        assert by_dates == pytest.approx(sample.age, abs=0.01)
    assert {len(dates) for dates in born.values()} == {1}
