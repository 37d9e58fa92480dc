"""The tables [score] and [severity] of a study's bundle, fitted on its calibration set."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training import assemble, calibrate
from ra_training.calibration import conformal
from ra_training.data.prepared import Prepared
from ra_training.errors import TrainingError
from ra_training.study.carried import Carried
from ra_training.study.config import Study
from ra_training.study.results import Results
from ra_training.study.sets import Sets

Array = NDArray[np.float64]
Cases = dict[str, tuple[NDArray[np.intp], ...]]
"""By kind of image, ``hand`` or ``both``: rows of the calibration set whose scores are added."""
HAND_MAX = 140.0
FEWEST = 40
"""Calibration cases below which a kind of image gets no interval."""


def score_tables(study: Study, sets: Sets, results: Results, carried: Carried) -> str:
    """The tables [score] and [severity]."""
    score, truth = np.maximum(carried.calibrate, 0), results.calibrate_truth
    cases = _cases(study, sets.calibrate)
    text = (
        f"\n[score]\nscale_max = {HAND_MAX}\nmembers = {json.dumps(carried.names)}\n"
        f'rubric = "{assemble.RUBRIC}"\n'
    )
    for kind, parts in cases.items():
        predicted, known = (np.sum([v[rows] for rows in parts], 0) for v in (score, truth))
        if len(predicted) < FEWEST:
            raise TrainingError(
                code="calibration-small",
                text=f"{len(predicted)} calibration cases of {kind}, at least {FEWEST} are needed",
                hint="give a larger calibration set"
                + (", with both hands of a visit" if kind == "both" else ""),
            )
        table = conformal.fit(predicted, known, bands=max(1, min(6, len(known) // 40))).table()
        cohort = {"reference": f"calibration set of study {study.name} ({study.label})"}
        text += f"\n[score.{kind}]\n" + _rows(table | cohort)
    if carried.classes:
        text += "\n[severity]\n" + _rows(_severity(study, results, carried, cases, score, truth))
    return text


def _severity(
    study: Study, results: Results, carried: Carried, cases: Cases, score: Array,
    truth: Array,
) -> dict[str, object]:  # fmt: skip
    edges = list(results.edges)
    reference = f"training set of study {study.name} ({study.label})"
    if study.data.unit == "image":
        return {f"edges_{kind}": edges for kind in cases} | {"reference": reference}
    left, right = cases["both"]
    # No set of pairs chose these: twice the hand's edges are what two equal hands have.
    both = [2 * e for e in edges]
    logits = (carried.logits[left] + carried.logits[right]) / carried.temperature
    two = calibrate.bands_of_two(
        score[left] + score[right], logits, truth[left] + truth[right], both
    )
    return {"edges_hand": edges, "edges_both": both, **two, "reference": reference}


def _cases(study: Study, images: Prepared) -> Cases:
    """What is calibrated: hands and their sums, or the kinds of whole images that there are."""
    if study.data.unit == "hand":
        return {"hand": (np.arange(len(images), dtype=np.intp),), "both": _pairs(images)}
    both = np.array([s.hands == "both" for s in images.samples])
    found: Cases = {"hand": (np.flatnonzero(~both),), "both": (np.flatnonzero(both),)}
    return {kind: parts for kind, parts in found.items() if len(parts[0])}


def _pairs(images: Prepared) -> tuple[NDArray[np.intp], ...]:
    """Rows of left and right hands of the same patient and visit."""
    rows = {(s.patient_id, s.visit, s.hands): i for i, s in enumerate(images.samples)}
    found = [
        (i, rows[patient, visit, "right"])
        for (patient, visit, side), i in rows.items()
        if side == "left" and (patient, visit, "right") in rows
    ]
    return tuple(np.array(found, np.intp).reshape(-1, 2).T)


def _rows(table: dict[str, Any]) -> str:
    return "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in table.items())
