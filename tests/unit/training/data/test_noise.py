"""Reader noise by ICC, longitudinal truth, and the moments of the priors."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.data.longitudinal import changes, cohort
from ra_training.data.noise import with_readers
from ra_training.data.sample import Sample
from ra_training.errors import TrainingError
from ra_training.metrics.agreement import icc_of_readers
from ra_training.phantom import generate

CLINIC = cohort(600, 31, visits=1)


def totals(samples: tuple[Sample, ...]) -> np.ndarray:
    """(readers, n)."""
    return np.array([list(s.readers.values()) for s in samples]).T


@pytest.mark.parametrize("shared", [0.0, 0.5])
@pytest.mark.parametrize("icc", [0.85, 0.9, 0.95])
def test_agreement_is_reached(icc: float, shared: float) -> None:
    read = with_readers(CLINIC, icc, seed=3, shared=shared)
    assert icc_of_readers(totals(read).T) == pytest.approx(icc, abs=0.01)
    for sample, true in zip(read, CLINIC, strict=True):
        assert sample.score == np.mean(list(sample.readers.values()))
        assert sample.joints == true.joints


def test_shared_noise_lifts_totals_less() -> None:
    truth = np.mean([s.score for s in CLINIC])
    lifted = [
        np.mean([s.score for s in with_readers(CLINIC, 0.9, seed=3, shared=k)]) - truth
        for k in (0.0, 0.5)
    ]
    assert 0 < lifted[1] < lifted[0] / 3


def test_readers_are_the_same_for_a_seed() -> None:
    assert with_readers(CLINIC, 0.9, seed=3) == with_readers(CLINIC, 0.9, seed=3)
    assert with_readers(CLINIC, 0.9, seed=3) != with_readers(CLINIC, 0.9, seed=4)


def test_an_unreachable_agreement_is_refused() -> None:
    with pytest.raises(TrainingError, match="no spread gives"):
        with_readers(CLINIC, 0.999, seed=3, offsets=(-1.0, 1.0))
    bare = (Sample(key="a", patient_id="p", visit="1", source="table", image=None, hands="both"),)
    with pytest.raises(TrainingError, match="same sites"):
        with_readers(bare, 0.9, seed=3)


def test_agreement_is_that_of_shrout_and_fleiss() -> None:
    """Their table 2 (Psychological Bulletin 1979;86:420): four judges, six targets, .29."""
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc_of_readers(np.array(table, float)) == pytest.approx(0.29, abs=0.005)


def test_progression_is_known_and_never_heals() -> None:
    found = changes(cohort(400, 5, visits=3))
    assert len(found) == 400
    assert all(c.units >= 0 and c.years == 1 for c in found)
    assert 0.1 < np.mean([c.rapid for c in found]) < 0.4, "about one in five progresses fast"
    assert np.mean([c.units == 0 for c in found]) > 0.4, "most stay"


def test_visits_are_those_of_the_generator() -> None:
    made = {(s.patient_id, s.visit): s.grades.total for s in generate(3, 9, visits=2, height=160)}
    ours = {(s.patient_id, int(s.visit)): s.score for s in cohort(3, 9, visits=2)}
    assert ours == made


def sums(samples: tuple[Sample, ...], start: int, prefix: str) -> np.ndarray:
    """Totals over the joints whose name from ``start`` begins so."""
    return np.array(
        [sum(v for k, v in s.joints.items() if k[start:].startswith(prefix)) for s in samples]
    )


def test_moments_of_the_clinic_prior() -> None:
    samples = cohort(3000, 77, visits=1)
    scores = np.array([s.score for s in samples])
    assert 10 <= np.median(scores) <= 20
    assert 42 <= scores.std() <= 53
    assert 0.17 <= (scores == 0).mean() <= 0.28
    assert 0.8 <= np.corrcoef(sums(samples, 0, "L_"), sums(samples, 0, "R_"))[0, 1] <= 0.9
    assert np.corrcoef(sums(samples, 2, "BE"), sums(samples, 2, "JSN"))[0, 1] < 0.9


def test_the_early_prior_is_milder_and_the_flat_one_even() -> None:
    early = np.array([s.score for s in cohort(1500, 77, visits=1, prior="early")])
    clinic = np.array([s.score for s in CLINIC])
    assert EARLY[0] <= np.median(early) <= EARLY[1]
    assert np.median(early) < np.median(clinic)
    flat = np.array([s.score for s in cohort(1500, 77, visits=1, prior="flat")])
    shares = np.histogram(flat, (0, 40, 80, 120, 160, 200, 281))[0] / len(flat)
    assert shares.min() > 0.07, "no range of totals is left out"


EARLY = (7.0, 13.0)
"""Median of the early prior; RA2-DREAM's sets have 5, 10 and 13 (phantom page, section 6)."""
