"""Every coded concept that we write: one frozen table. Values are never reused."""

from __future__ import annotations

from highdicom.sr import CodedConcept

SCHEME = "99RADAEMON"
SCHEME_UID = "2.25.236510983423451820937450912873451209384"
SCHEME_NAME = "ra-daemon private codes"

_OWN = {
    "RA0001": "Estimated SvdH score, both hands, range 0-280",
    "RA0002": "Estimated SvdH score, one hand, range 0-140",
    "RA0003": "Estimated SvdH score of one ensemble member",
    "RA0101": "Radiographic damage band",
    "RA0102": "Number of damage bands",
    "RA0103": "Probability of damage band",
    "RA0104": "Damage band edges and reference cohort",
    "RA0201": "Stacked ensemble of SvdH regression models",
    "RA0211": "Lower limit of the 90 % prediction interval",
    "RA0212": "Upper limit of the 90 % prediction interval",
    "RA0213": "Ensemble standard deviation",
    "RA0301": "Quality flag",
    "RA0302": "Source of laterality",
    "RA0303": "Not analysed because",
    "RA0304": "Statement",
    "RA0401": "Estimated radiographic joint damage",
    "RA0402": "Image not analysed",
    "RA0403": "Result retracted",
    "RA0501": "Model attention overlay",
    "RA0901": "Automated SvdH scoring of hand radiographs",
}


def own(value: str, meaning: str | None = None) -> CodedConcept:
    """A concept of our private scheme; ``meaning`` only where the table leaves it open."""
    return CodedConcept(value, SCHEME, meaning or _OWN[value])


def sct(value: str, meaning: str) -> CodedConcept:
    """A SNOMED CT concept."""
    return CodedConcept(value, "SCT", meaning)


def dcm(value: str, meaning: str) -> CodedConcept:
    """A DICOM concept."""
    return CodedConcept(value, "DCM", meaning)


def unit(ucum: str) -> CodedConcept:
    """A unit by its UCUM code; a score (``{score}``) counts and has none."""
    return NO_UNITS if ucum in ("", "1", "{score}") else CodedConcept(ucum, "UCUM", ucum[:64])


HAND = sct("85562004", "Hand")
LEFT = sct("7771000", "Left")
RIGHT = sct("24028007", "Right")
BILATERAL = sct("51440002", "Bilateral")
MEAN = sct("373098007", "Mean")
IMAGING_PROCEDURE = sct("363679005", "Imaging procedure")
REPORT_TITLE = dcm("126000", "Imaging Measurement Report")
NO_UNITS = CodedConcept("1", "UCUM", "no units")
ENGLISH = CodedConcept("en", "RFC5646", "English")
SOURCE_FOR_PROCESSING = dcm("121322", "Source image for image processing operation")
