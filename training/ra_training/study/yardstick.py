"""The small baseline on the test images of a study: how easy generated images are."""

from __future__ import annotations

from pathlib import Path

from ra_training.figures import small_baseline
from ra_training.study.config import Study

TRAIN, SEED, EPOCHS = 1100, 5199, 16
"""Images, seed and epochs of the small network, the same for every study."""


def yardstick(study: Study, root: Path) -> list[float]:
    """PCC of each of ``study.baselines`` trainings, kept in ``root``; none for real images."""
    if study.data.kind != "phantom" or not study.baselines:
        return []
    test = study.data.test
    table = {
        "baseline_train": TRAIN, "baseline_seed": SEED, "baseline_epochs": EPOCHS,
        "baseline_weights": list(range(study.baselines)), "images": test.n, "seed": test.seed,
        "prior": study.data.prior,
    }  # fmt: skip
    return small_baseline(table, root / "baseline.json")
