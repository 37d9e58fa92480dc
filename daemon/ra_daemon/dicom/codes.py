"""Every coded concept that we write: one frozen table. Values are never reused.

What a value means never depends on a bundle: the band of K bands is in the value itself. What has
no fixed words (edges, cohorts, details) is text under a coded name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from highdicom.sr import CodedConcept

from ra_daemon.domain import Reason

SCHEME = "99RADAEMON"
SCHEME_UID = "2.25.236510983423451820937450912873451209384"
SCHEME_NAME = "ra-daemon private codes"

OWN: Mapping[str, str] = MappingProxyType(
    {
        "RA0001": "Estimated SvdH score, both hands, range 0-280",
        "RA0002": "Estimated SvdH score, one hand, range 0-140",
        "RA0003": "Estimated SvdH score of one ensemble member",
        "RA0101": "Radiographic damage band",
        "RA0102": "Number of damage bands",
        "RA0104": "Damage band edges and reference cohort",
        "RA0201": "Stacked ensemble of SvdH regression models",
        "RA0211": "Lower limit of the 90 % prediction interval",
        "RA0212": "Upper limit of the 90 % prediction interval",
        "RA0213": "Ensemble standard deviation",
        "RA0214": "Level and calibration of the prediction interval",
        "RA0301": "Quality flag",
        "RA0302": "Source of laterality",
        "RA0303": "Not analysed because",
        "RA0304": "Statement",
        "RA0305": "Detail",
        "RA0311": "Image Laterality (0020,0062)",
        "RA0312": "Laterality (0020,0060)",
        "RA0313": "Frame Laterality (0020,9072)",
        "RA0314": "Place in the image, which proves no side",
        "RA0315": "Laterality attributes of the two images",
        "RA0316": "Not known",
        "RA0317": "Disputed by tags and image",
        "RA0318": "Lead letter on the image",
        "RA0321": "0 is not normal: it excludes neither arthritis nor fracture",
        "RA0322": "Demonstration model, not for clinical use",
        "RA0323": "The earlier report must not be used",
        "RA0331": "Sum of two images, one hand each",
        "RA0332": "Tags, or tags and image, dispute the side: total only",
        "RA0333": "No interval: nothing is calibrated for a sum of two images",
        "RA0334": "The hands lie one above the other: no side named, total only",
        "RA0335": "More than one image of this hand: the one scored last counts",
        "RA0401": "Estimated radiographic joint damage",
        "RA0402": "Image not analysed",
        "RA0403": "Result retracted",
        "RA0501": "Model attention overlay",
        "RA0701": "The image does not show a hand",
        "RA0702": "Only the wrist is shown; the score needs the whole hand",
        "RA0703": "Not a postero-anterior or antero-posterior view",
        "RA0704": "Part of the hand lies outside the image",
        "RA0705": "More than two hands on one image",
        "RA0706": "The model does not score images with this number of hands",
        "RA0707": "Open growth plates: the score is defined for adults",
        "RA0708": "Patient younger than 18 years at the study",
        "RA0709": "A cast or splint covers the hand",
        "RA0710": "A joint prosthesis or osteosynthesis is present",
        "RA0711": "Drawings or text are burned into the image",
        "RA0712": "Too few pixels across the hand",
        "RA0713": "The object cannot be read as a DICOM image",
        "RA0714": "Not a grey-scale image",
        "RA0715": "The image is unlike those that the model was made for",
        "RA0716": "This kind of DICOM object is not scored",
        "RA0717": "Image for processing or digitised film; no route allows it",
        "RA0718": "A derived image, not the original exposure",
        "RA0719": "One of our own results came back",
        "RA0720": "No route takes this image",
        "RA0721": "Another object of the same exposure is scored",
        "RA0901": "Automated SvdH scoring of hand radiographs",
    }
)
FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "RA0103": "Probability of damage band {k} of {of}",
        "RA0110": "Damage band {k} of {of}",
        "RA0120": "Class {k} of {of}",
        "RA0121": "Probability of class {k} of {of}",
    }
)
"""Concepts that are counted: the value is ``NAME-k-K``, the meaning has both numbers."""

REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NOT_A_HAND: "RA0701",
        Reason.WRIST_ONLY: "RA0702",
        Reason.WRONG_VIEW: "RA0703",
        Reason.CROPPED: "RA0704",
        Reason.TOO_MANY_HANDS: "RA0705",
        Reason.HANDS_NOT_SCORED: "RA0706",
        Reason.OPEN_PHYSES: "RA0707",
        Reason.UNDER_AGE: "RA0708",
        Reason.CAST: "RA0709",
        Reason.PROSTHESIS: "RA0710",
        Reason.BURNED_IN: "RA0711",
        Reason.TOO_SMALL: "RA0712",
        Reason.UNREADABLE: "RA0713",
        Reason.UNSUPPORTED_PHOTOMETRY: "RA0714",
        Reason.OUT_OF_DISTRIBUTION: "RA0715",
        Reason.UNSUPPORTED_SOP_CLASS: "RA0716",
        Reason.FOR_PROCESSING: "RA0717",
        Reason.DERIVED: "RA0718",
        Reason.OWN_OUTPUT: "RA0719",
        Reason.NO_ROUTE: "RA0720",
        Reason.NOT_SELECTED: "RA0721",
    }
)
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "aggregate": "RA0331",
        "laterality_conflict": "RA0332",
        "no_interval": "RA0333",
        "sides_unnamed": "RA0334",
        "side_repeated": "RA0335",
    }
)
"""Our own quality flags; those of plugins are text."""

LATERALITY: Mapping[str, str] = MappingProxyType(
    {
        "ImageLaterality": "RA0311",
        "Laterality": "RA0312",
        "FrameLaterality": "RA0313",
        "position": "RA0314",
        "tags": "RA0315",
        "marker": "RA0318",
    }
)
LATERALITY_UNKNOWN, LATERALITY_DISPUTED = "RA0316", "RA0317"


def own(value: str) -> CodedConcept:
    """A concept of our private scheme."""
    return CodedConcept(value, SCHEME, OWN[value])


def counted(family: str, k: int, of: int) -> CodedConcept:
    """Number ``k`` (from 1) of ``of`` of a family of ``FAMILIES``."""
    return CodedConcept(f"{family}-{k}-{of}", SCHEME, FAMILIES[family].format(k=k, of=of))


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
