"""Invariants of splits, figures, intervals and classes."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ra_training.calibration import conformal
from ra_training.calibration.temperature import probabilities
from ra_training.data.sample import Sample
from ra_training.data.splits import split
from ra_training.ensemble import stack
from ra_training.ensemble.edges import class_values, quantile_edges
from ra_training.errors import TrainingError
from ra_training.metrics import agreement
from ra_training.metrics.classes import classes_of, confusion, quadratic_kappa
from ra_training.metrics.strata import by_score_band

Array = NDArray[np.float64]
SCORES = st.integers(0, 280).map(float)


def arrays(least: int = 3, most: int = 60) -> st.SearchStrategy[Array]:
    return hnp.arrays(np.float64, st.integers(least, most), elements=SCORES)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    truth = draw(arrays())
    return truth, draw(hnp.arrays(np.float64, len(truth), elements=st.floats(-20, 300)))


@st.composite
def cohorts(draw: st.DrawFn) -> list[Sample]:
    """Patients with one to three images each, of two sources that share names."""
    people = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.integers(0, 400), st.integers(1, 3), SCORES),
            min_size=30, max_size=60, unique_by=lambda p: (p[0], p[1]),
        )
    )  # fmt: skip
    return [
        Sample(
            key=f"{source}{who}-{k}", patient_id=str(who), visit=str(k), source=source,
            image=None, hands="both", score=score,
        )
        for source, who, images, score in people
        for k in range(images)
    ]  # fmt: skip


@given(cohorts(), st.integers(0, 99))
def test_a_split_keeps_patients_whole_and_depends_on_nothing_but_the_seed(
    samples: list[Sample], seed: int
) -> None:
    found = split(samples, seed=seed)
    assert sorted(r.key for r in found.rows) == sorted(s.key for s in samples)
    where: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for row in found.rows:
        where[row.source, row.patient_id].add((row.part, row.fold))
    assert all(len(places) == 1 for places in where.values())
    assert split(samples[::-1], seed=seed) == found


@given(pairs())
def test_figures_of_agreement_keep_their_ranges(both: tuple[Array, Array]) -> None:
    truth, predicted = both
    found = agreement.agreement(truth, predicted)
    assert found["mae"] <= found["rmse"] + 1e-9
    assert abs(found["bias"]) <= found["mae"] + 1e-9
    assert found["loa_low"] <= found["bias"] + 1e-9
    assert found["bias"] <= found["loa_high"] + 1e-9
    for name in ("pcc", "spearman", "icc_a1"):
        assert np.isnan(found[name]) or found[name] <= 1 + 1e-9
    swapped = agreement.icc_a1(predicted, truth)
    assert swapped == pytest.approx(found["icc_a1"], nan_ok=True, abs=1e-9)


@given(arrays(), st.floats(0.5, 3), st.floats(-50, 50))
def test_correlation_forgives_scale_and_offset_that_agreement_does_not(
    truth: Array, scale: float, offset: float
) -> None:
    assume(truth.std() > 1)
    other = truth * scale + offset
    assert agreement.pcc(truth, other) == pytest.approx(1)
    assert agreement.icc_a1(truth, other) <= agreement.icc_a1(truth, truth) + 1e-9


@given(pairs())
def test_score_bands_share_out_every_case(both: tuple[Array, Array]) -> None:
    assert sum(row["n"] for row in by_score_band(*both).values()) == len(both[0])


@given(arrays(20, 80), st.integers(2, 6))
def test_edges_rise_and_every_class_has_a_training_case(scores: Array, classes: int) -> None:
    assume(len(np.unique(scores[scores > 0])) >= classes and (scores == 0).any())
    edges = quantile_edges(scores, classes)
    assert edges[0] == 0
    assert all(a < b for a, b in pairwise(edges))
    values = class_values(scores, edges)
    assert list(values) == sorted(values)
    given_classes = classes_of(scores, edges)
    assert ((given_classes == 0) == (scores == 0)).all()
    assert quadratic_kappa(given_classes, given_classes) == pytest.approx(1)
    assert confusion(given_classes, given_classes, len(values)).trace() == len(scores)


@given(pairs(), st.integers(1, 5))
def test_intervals_cover_their_level_of_what_they_were_fitted_on(
    both: tuple[Array, Array], bands: int
) -> None:
    truth, predicted = both
    fitted = conformal.fit(predicted, truth, bands=bands)
    assert all(w >= 0 for w in (*fitted.low, *fitted.high))
    assert list(fitted.upper) == sorted(fitted.upper)
    slack = conformal.Conformal(
        level=fitted.level, upper=fitted.upper, n=fitted.n,
        low=tuple(w + 1e-6 for w in fitted.low), high=tuple(w + 1e-6 for w in fitted.high),
    )  # fmt: skip
    # Each tail of each band leaves out at most a twentieth of the band.
    assert slack.covers(predicted, truth).mean() >= fitted.level
    assert conformal.Conformal.of(fitted.table()) == fitted


@given(hnp.arrays(np.float64, (7, 4), elements=st.floats(-30, 30)))
def test_class_probabilities_are_a_distribution(logits: Array) -> None:
    shares = probabilities(logits)
    assert (shares >= 0).all()
    assert shares.sum(1) == pytest.approx(np.ones(len(shares)))


@given(pairs())
def test_a_stack_is_no_worse_than_any_member_on_what_it_was_fitted_on(
    both: tuple[Array, Array],
) -> None:
    truth, predicted = both
    members = np.stack([predicted, predicted[::-1], np.ones_like(truth)], 1)
    fitted = stack.fit(members, truth)
    assert min(fitted.weights) >= 0
    least = min(agreement.rmse(truth, m) for m in members.T)
    assert agreement.rmse(truth, fitted.predict(members)) <= least + 1e-6
    members[0, 0] = np.nan
    with pytest.raises(TrainingError):
        stack.fit(members, truth)
