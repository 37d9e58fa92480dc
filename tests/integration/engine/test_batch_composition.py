"""A result does not depend on what else is in its batch: shipped bundle, CPU, FP32, to 1e-4."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ra_daemon.config import Config, Scoring
from ra_daemon.domain import Scored
from ra_daemon.steps.score import Gated, Models
from ra_engine.types import Heatmap, Measurement, Radiograph, ScoredImage, Side
from ra_engine.views import hand_view
from tests.support.scored import both_hands

IMAGES = 6
SCORERS = ("svdh", "severity", "gradcam")
TOLERANCE = 1e-4


@cache
def models() -> Models:
    return Models.load(Config(scoring=Scoring(threads=1)))


@cache
def gated(seed: int) -> Gated:
    """Blurred noise with one or two hands in it: numbers matter here, not anatomy."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 4096, (320 + 8 * seed, 400)).astype(np.uint16)
    views = both_hands().views[: 1 + seed % 2]
    views = tuple(hand_view(v.landmarks, index=i, side=v.side) for i, v in enumerate(views))
    image = ScoredImage(instance=str(seed), radiograph=Radiograph(pixels=pixels), views=views)
    return Gated(image=image, side=Side.UNKNOWN, side_source="", conflict=False)


def run(seeds: tuple[int, ...]) -> list[Scored]:
    return models().score([gated(s) for s in seeds], SCORERS, lambda _name: None)


@cache
def alone(seed: int) -> Scored:
    return run((seed,))[0]


def numbers(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    values = [f.value for f in scored.findings if isinstance(f, Measurement)]
    cams = [f.cam.ravel() for f in scored.findings if isinstance(f, Heatmap)]
    return np.array(values), np.concatenate(cams)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, IMAGES - 1), min_size=1, max_size=6).map(tuple))
def test_a_result_does_not_depend_on_its_batch(seeds: tuple[int, ...]) -> None:
    for seed, together in zip(seeds, run(seeds), strict=True):
        for ours, theirs in zip(numbers(together), numbers(alone(seed)), strict=True):
            assert ours.shape == theirs.shape
            assert ours.size
            assert np.abs(ours - theirs).max() <= TOLERANCE
