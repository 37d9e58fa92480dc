"""Generated hand radiographs with joint grades by construction. Demonstration only, no patients."""

from __future__ import annotations

from ra_training.phantom.cohort import Sample, generate, subject_seed
from ra_training.phantom.exposure import Exposure, HandTruth
from ra_training.phantom.grades import HandGrades, SubjectGrades, progression, sample_grades
from ra_training.phantom.nonhand import KINDS, render_nonhand
from ra_training.phantom.render import render_exposure
from ra_training.phantom.sites import EROSION_SITES, NARROWING_SITES, SITES, max_grade

PHANTOM_VERSION = "2.3"
"""Raised with every change of a pixel; stands in every model card."""

__all__ = [
    "EROSION_SITES",
    "KINDS",
    "NARROWING_SITES",
    "PHANTOM_VERSION",
    "SITES",
    "Exposure",
    "HandGrades",
    "HandTruth",
    "Sample",
    "SubjectGrades",
    "generate",
    "max_grade",
    "progression",
    "render_exposure",
    "render_nonhand",
    "sample_grades",
    "subject_seed",
]
