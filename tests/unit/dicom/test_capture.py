"""The heatmap image as a whole: what its header says, and that its pixels say so too."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread

from ra_daemon.dicom.capture import _WARN, _letters, compose_capture
from ra_daemon.dicom.report_input import ReportInput
from tests.support import dicom_sources, scored

WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("source") / "both.dcm")


@pytest.fixture(scope="module")
def capture(source: Path) -> Dataset:
    return compose_capture(
        ReportInput(
            sources=(source,),
            source_digests=("aa",),
            created_at=WHEN,
            pipeline_digest="pp",
            scored=scored.both_hands(),
        )
    )


def test_it_is_a_derived_colour_picture_of_its_source(capture: Dataset, source: Path) -> None:
    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert capture.Modality == "OT"
    assert capture.PhotometricInterpretation == "RGB"
    assert (capture.SamplesPerPixel, capture.BitsAllocated, capture.BitsStored) == (3, 8, 8)
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY", "", "GRADCAM"]
    assert capture.LossyImageCompression == "00"
    assert (capture.SeriesNumber, capture.InstanceNumber) == (9002, 1)
    before = dcmread(source)
    assert capture.StudyInstanceUID == before.StudyInstanceUID
    assert capture.SeriesInstanceUID != before.SeriesInstanceUID
    (item,) = capture.SourceImageSequence
    assert item.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_its_header_says_that_words_are_in_the_picture(capture: Dataset) -> None:
    assert capture.BurnedInAnnotation == "YES"
    assert capture.RecognizableVisualFeatures == "NO"


def test_it_says_what_made_it_and_what_it_is_not_for(capture: Dataset) -> None:
    assert "demo 1.0.0" in capture.DerivationDescription
    assert "NOT FOR DIAGNOSTIC USE" in capture.DerivationDescription
    assert "DEMONSTRATION" in capture.DerivationDescription
    assert "NOT FOR DIAGNOSTIC USE" in capture.SeriesDescription
    (made,) = capture.DerivationCodeSequence
    assert (made.CodeValue, made.CodingSchemeDesignator) == ("RA0501", "99RADAEMON")
    assert capture.SecondaryCaptureDeviceManufacturer == capture.Manufacturer


@pytest.mark.parametrize(
    "words",
    [
        "Estimated damage (SvdH) 30.2 of 280",
        "20.0 to 40.0: 90 % prediction interval",
        "damage band 4 of 7",
        "model attention, not lesions",
        "NOT FOR DIAGNOSTIC USE",
        "DEMONSTRATION",
        "0 is not 'normal'",
    ],
)
def test_the_pixels_hold_the_words(capture: Dataset, words: str) -> None:
    assert likeness(capture.pixel_array, words) > 0.95
    assert likeness(capture.pixel_array, words[::-1]) < 0.6


def test_the_side_has_a_dark_rim_on_bright_bone() -> None:
    image = Image.new("RGB", (1600, 780), (255, 255, 255))
    _letters(image, scored.both_hands(), 1.0, 800)
    shown = np.asarray(image)
    letters = (shown == _WARN).all(2)
    dark = (shown.max(2) < 40).astype(np.uint8)
    assert letters.sum() > 50
    assert cv2.dilate(dark, np.ones((7, 7), np.uint8))[letters].all()


def likeness(picture: NDArray[np.uint8], words: str) -> float:
    """The best correlation, 0..1, of the words as letters of any size with a place in the picture.

    Above and below the radiograph only, where the ground is black.
    """
    grey = picture.max(axis=2)
    bands = (grey[:96], grey[-44:])
    return max(_matches(band, words, size) for band in bands for size in range(9, 20))


def _matches(band: NDArray[np.uint8], words: str, size: int) -> float:
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(v) for v in font.getbbox(words))
    letters = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(letters).text((-left, -top), words, fill=255, font=font)
    if letters.height > band.shape[0] or letters.width > band.shape[1]:
        return 0.0
    return float(cv2.matchTemplate(band, np.asarray(letters), cv2.TM_CCOEFF_NORMED).max())
