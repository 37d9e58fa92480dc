"""Readers: grades read with an offset and noise, tuned to a chosen agreement of totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ra_training.data.sample import Sample
from ra_training.errors import TrainingError
from ra_training.metrics.agreement import icc_of_readers
from ra_training.phantom.sites import max_grade
from ra_training.phantom.streams import stream

Array = NDArray[np.float64]
_TOLERANCE, _STEPS, _WIDEST = 0.002, 40, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderNoise:
    """Two or more readers of one cohort (phantom page, 5.4).

    label = clip(round(grade + offset_reader + N(0, spread))), for each site on its own. Clipping
    at 0 lifts totals: a healthy site is read too high at times and never too low.

    Attributes:
        offsets: mean tendency of each reader, in grades; spread: SD in grades.
        shared: part of the noise's variance that all sites of a case share, 0..1: a reader who is
            severe today. 0 is the formula as it stands; then totals average noise out, and an ICC
            below 0.95 needs a spread that lifts them much.
    """

    seed: int
    spread: float
    shared: float = 0.0
    offsets: tuple[float, ...] = (-0.05, 0.05)

    def read(self, grades: Array, highest: Array) -> Array:
        """(readers, n, sites) labels of (n, sites) true grades; ``highest`` is (sites,)."""
        noisy = [
            np.rint(grades + offset + self._noise(stream(self.seed, "reader", i), grades))
            for i, offset in enumerate(self.offsets)
        ]
        clipped: Array = np.clip(np.stack(noisy), 0, highest)
        return clipped

    def _noise(self, draw: np.random.Generator, grades: Array) -> Array:
        own = draw.standard_normal(grades.shape) * np.sqrt(1 - self.shared)
        case = draw.standard_normal((len(grades), 1)) * np.sqrt(self.shared)
        noise: Array = self.spread * (own + case)
        return noise


def tuned(
    grades: Array,
    highest: Array,
    icc: float,
    *,
    seed: int,
    offsets: tuple[float, ...] = (-0.05, 0.05),
    shared: float = 0.0,
) -> ReaderNoise:
    """Readers whose totals agree by ``icc`` on this cohort, found by bisection over the spread.

    The same draws serve every spread, so that agreement falls as the spread grows.

    Raises:
        TrainingError: no spread gives that agreement (offsets too far apart, too few cases).
    """
    low, high = 0.0, _WIDEST
    found = ReaderNoise(seed=seed, spread=0.0, offsets=offsets, shared=shared)
    for _ in range(_STEPS):
        found = replace(found, spread=(low + high) / 2)
        reached = icc_of_readers(found.read(grades, highest).sum(2).T)
        if abs(reached - icc) <= _TOLERANCE:
            return found
        low, high = (found.spread, high) if reached > icc else (low, found.spread)
    raise TrainingError(
        code="icc-unreachable",
        text=f"no spread gives an ICC of {icc:g} on {len(grades)} cases",
        hint="choose 0.5-0.98, offsets nearer to each other, or more cases",
    )


def with_readers(
    samples: Sequence[Sample],
    icc: float,
    *,
    seed: int,
    offsets: tuple[float, ...] = (-0.05, 0.05),
    shared: float = 0.0,
) -> tuple[Sample, ...]:
    """Samples whose score is the mean of readers; ``joints`` keep the true grades.

    Raises:
        TrainingError: a sample without joints, samples of different sites, or the ICC is out of
            reach.
    """
    sites = sorted(samples[0].joints)
    if not sites or any(sorted(s.joints) != sites for s in samples):
        raise TrainingError(
            code="label-missing",
            text="readers need the grades of the same sites in every sample",
            hint="give generated images of the same hands",
        )
    grades = np.array([[s.joints[site] for site in sites] for s in samples], np.float64)
    highest = np.array([max_grade(site[2:]) for site in sites], np.float64)
    noise = tuned(grades, highest, icc, seed=seed, offsets=offsets, shared=shared)
    totals = noise.read(grades, highest).sum(2)
    return tuple(
        replace(s, score=float(own.mean()), readers=_named(own))
        for s, own in zip(samples, totals.T, strict=True)
    )


def _named(totals: Array) -> Mapping[str, float]:
    return {f"reader-{i + 1}": float(v) for i, v in enumerate(totals)}
