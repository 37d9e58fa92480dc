"""The demonstration bundle keeps its bars: as the card says, and measured anew."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ra_engine.bundle import load_bundle
from ra_training.calibrate import covered
from ra_training.cohorts import run
from ra_training.metrics.agreement import mae, pcc, rmse
from ra_training.phantom import PHANTOM_VERSION, nuisance
from tests.support.paths import REPOSITORY

BUNDLES = REPOSITORY / "plugins" / "ra_plugins" / "bundles"
DEMO = load_bundle(BUNDLES / "demo")
CARD = (BUNDLES / "demo" / "card.md").read_text(encoding="utf-8")


def test_the_shipped_figures_keep_the_bars() -> None:
    assert DEMO.manifest.training is not None
    told = DEMO.manifest.training.metrics
    assert told["asked"] >= 1000
    assert told["n"] / told["asked"] >= 0.98
    assert told["pcc"] >= 0.95
    assert told["rmse"] <= 15
    assert told["hand_pcc"] >= 0.93
    assert 0.87 <= told["coverage"] <= 0.93
    assert told["baseline_pcc"] <= 0.85


def test_the_card_tells_every_band() -> None:
    row = re.search(r"coverage by band of the prediction \| ([\d., ]+) \|", CARD)
    assert row is not None
    bands = [float(v) for v in row[1].split(",")]
    assert len(bands) >= 5
    assert min(bands) >= 0.85
    assert max(bands) <= 0.95
    errors = {name: float(value) for name, value in re.findall(
        r"\| (0|1-10|11-50|over 50) \| \d+ \| ([\d.]+) \|", CARD)}  # fmt: skip
    assert set(errors) == {"0", "1-10", "11-50", "over 50"}
    assert errors["0"] <= 4
    assert errors["1-10"] <= 4


def test_cards_tell_intervals_and_what_varies() -> None:
    for name in ("PCC", "RMSE", "coverage of the 90 % prediction interval"):
        assert re.search(rf"\| {name} \| [\d.]+ \([\d.]+ to [\d.]+\) \|", CARD), name
    for bundle in ("demo", "locator"):
        card = (BUNDLES / bundle / "card.md").read_text(encoding="utf-8")
        assert nuisance.table() in card
        assert re.search(r"small\s+baseline[^.]*0\.\d{3} \(0\.\d{3}", card)
        assert "## Limits" in card
        assert re.search(r"\| [\d.]+ \([\d.]+ to [\d.]+\)", card)


def test_weights_and_figures_are_of_the_generator_that_ships() -> None:
    assert DEMO.manifest.training is not None
    assert DEMO.manifest.training.data.startswith(f"generated radiographs {PHANTOM_VERSION};")
    card = (BUNDLES / "locator" / "card.md").read_text(encoding="utf-8")
    assert f"generator {PHANTOM_VERSION});" in card  # its figures; its weights saw 2.2


def _keeps_the_bars(n: int, seed: int) -> None:
    cohort = run(BUNDLES / "locator" / "graph.onnx", DEMO.graph, n, seed, "clinic", processes=2)
    whole = cohort.complete
    assert whole.mean() >= 0.98
    score = np.clip(cohort.score[whole], 0, 140).sum(1)
    truth = cohort.truth[whole].sum(1)
    assert pcc(truth, score) >= 0.95
    assert rmse(truth, score) <= 15
    assert mae(truth[truth <= 10], score[truth <= 10]) <= 4
    assert DEMO.manifest.score is not None
    assert DEMO.manifest.score.both is not None
    inside = covered(DEMO.manifest.score.both.model_dump(), score, truth)
    slack = 2.6 * np.sqrt(0.9 * 0.1 / len(inside))  # 99 % of samples of this size
    assert 0.87 - slack <= inside.mean() <= 0.93 + slack


def test_images_of_another_seed_keep_the_bars() -> None:
    _keeps_the_bars(100, 977_001)


@pytest.mark.nightly
def test_many_images_of_another_seed_keep_the_bars() -> None:
    _keeps_the_bars(1000, 977_002)
