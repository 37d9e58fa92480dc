"""Figures of agreement, classes, coverage and explanation, with patient-level intervals."""
