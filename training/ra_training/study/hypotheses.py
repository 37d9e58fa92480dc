"""The paper's claims as hypotheses, each with its paired interval, whatever comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ra_training.metrics.agreement import Array, Metric, pcc, rmse
from ra_training.metrics.bootstrap import Interval, paired_difference
from ra_training.metrics.classes import quadratic_kappa
from ra_training.study.config import ORDINAL
from ra_training.study.results import Results
from ra_training.study.stacks import Stacked

Arm = tuple[str, Array]
"""Name and scores (s, n_test)."""
FIGURES: tuple[tuple[str, Metric, Literal[-1, 1]], ...] = (("RMSE", rmse, -1), ("PCC", pcc, 1))
"""What the paper reports of the score, and the sign of a gain."""
Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A claim about two arms on the same cases.

    Attributes:
        claim: as a sentence; figure: what is compared; better: sign of ``second - first`` that
            supports the claim; difference: second minus first, seeds averaged.
    """

    claim: str
    figure: str
    first: str
    second: str
    better: Literal[-1, 1]
    difference: Interval

    @property
    def verdict(self) -> Verdict:
        """Supported or contradicted by the whole interval, or neither."""
        if not self.difference.excludes_zero:
            return "undecided"
        return "holds" if self.difference.value * self.better > 0 else "fails"


def hypotheses(results: Results, found: Stacked, *, draws: int) -> list[Hypothesis]:
    """Every claim that the study's runs can test."""
    return [
        *_transfer(results, draws),
        *_best_scheme(results, draws),
        *_stack(results, found, draws),
        *_ordinal(results, draws),
    ]


def _transfer(results: Results, draws: int) -> list[Hypothesis]:
    out = []
    for cell in results.score_cells:
        scratch = [
            c for c in results.score_cells
            if c.architecture == cell.architecture and c.scheme == "scratch"
        ]  # fmt: skip
        if cell.scheme == "scratch" or not scratch:
            continue
        claim = "transfer from bone age beats training from scratch"
        out += _paired(claim, results, scratch[0].named, cell.named, draws)
    return out


def _best_scheme(results: Results, draws: int) -> list[Hypothesis]:
    """The scheme that is best out of fold against every other of its architecture."""
    out = []
    for name in dict.fromkeys(c.architecture for c in results.score_cells):
        own = [c for c in results.score_cells if c.architecture == name and c.scheme != "scratch"]
        if len(own) < 2:
            continue
        best = min(own, key=lambda c: c.oof_rmse(results.train_truth))
        out += [
            Hypothesis(
                claim=f"{best.scheme}, the best scheme out of fold, is the best on the test set",
                figure="RMSE", first=other.name, second=best.name, better=-1,
                difference=paired_difference(
                    rmse, results.test_truth, other.test, best.test, results.patients, draws=draws
                ),
            )
            for other in own
            if other is not best
        ]  # fmt: skip
    return out


def _stack(results: Results, found: Stacked, draws: int) -> list[Hypothesis]:
    claim = "the stacked ensemble beats its best member"
    return [
        one
        for method, predicted in found.score.items()
        for one in _paired(
            claim, results, results.best.named, (f"stack ({method})", predicted), draws
        )
    ]


def _paired(claim: str, results: Results, first: Arm, second: Arm, draws: int) -> list[Hypothesis]:
    """One claim by the paper's two figures of the score."""
    return [
        Hypothesis(
            claim=claim, figure=name, first=first[0], second=second[0], better=better,
            difference=paired_difference(
                metric, results.test_truth, first[1], second[1], results.patients, draws=draws
            ),
        )
        for name, metric, better in FIGURES
    ]  # fmt: skip


def _ordinal(results: Results, draws: int) -> list[Hypothesis]:
    out = []
    for cell in results.class_cells:
        plain = [
            c for c in results.class_cells
            if c.architecture == cell.architecture and c.loss == "cross_entropy"
        ]  # fmt: skip
        if cell.loss not in ORDINAL or not plain:
            continue
        out.append(
            Hypothesis(
                claim="an ordinal loss beats cross-entropy", figure="QWK",
                first=plain[0].name, second=cell.name, better=1,
                difference=paired_difference(
                    quadratic_kappa, results.test_classes, plain[0].classes(results.edges),
                    cell.classes(results.edges), results.patients, draws=draws,
                ),
            )
        )  # fmt: skip
    return out
