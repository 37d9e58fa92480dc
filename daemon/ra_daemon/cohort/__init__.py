"""Trials: which study is which visit, the table of a cohort, and its statistics."""
