"""The shortcut audit flags the known trap and passes generated cohorts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ra_training.cli import main
from ra_training.data.acquisition import acquisition
from ra_training.data.audit import above_median, auc, audit, file_attributes
from ra_training.data.readers import read
from ra_training.errors import TrainingError
from tests.support.paths import shared_data
from tests.support.sets import picture, rsna, table


def test_no_attribute_of_a_generated_cohort_tells_the_score() -> None:
    made = acquisition(600, 21, height=160)
    rows = audit(made.attributes, above_median(made.totals), made.patients, seed=0)
    names = {r.name for r in rows}
    assert {"gamma", "quanta", "bits", "photometric", "spacing", "marker", "sex", "age"} <= names
    assert all(r.passed for r in rows), rows[0]


def test_settings_are_those_of_the_films() -> None:
    made = acquisition(30, 4).attributes
    assert made["bits"] == made["stored-bits"]
    assert [v == 1 for v in made["inverted"]] == [v == "MONOCHROME1" for v in made["photometric"]]


def test_the_wrists_of_the_public_sample_are_flagged() -> None:
    """RGB or grey by label: 25 and 13 erosive, 1 and 11 not; AUC 0.787 (data page, section 4)."""
    rgb = [1.0] * 25 + [0.0] * 13 + [1.0] + [0.0] * 11
    erosive = np.arange(50) < 38
    (row,) = audit({"mode": rgb}, erosive, [str(i) for i in range(50)], seed=0)
    assert row.auc == pytest.approx(0.787, abs=0.001)
    assert row.low > 0.55
    assert not row.passed


def test_modes_of_the_real_wrists_are_seen() -> None:
    samples = read("ram-w600", shared_data("ram_w600_wrist")).samples
    assert set(file_attributes(samples)["mode"]) == {"RGB", "L"}


def test_words_do_not_tell_their_own_label() -> None:
    draw = np.random.default_rng(3)
    words = [f"device-{i}" for i in range(1000)]
    above = draw.random(1000) < 0.5
    (row,) = audit({"serial": words}, above, words, seed=0)
    assert row.passed
    told = ["b" if a else "c" for a in above]
    (row,) = audit({"vendor": told}, above, words, seed=0)
    assert row.auc == 1


def test_area_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="install ra-daemon[dev]")
    draw = np.random.default_rng(5)
    values, positive = draw.integers(0, 9, 200).astype(float), draw.random(200) < 0.3
    assert auc(values, positive) == pytest.approx(metrics.roc_auc_score(positive, values))


def test_small_sets_are_refused() -> None:
    with pytest.raises(TrainingError, match="above the median"):
        audit({"a": [1.0] * 12}, np.arange(12) < 4, ["p"] * 12, seed=0)


def _shortcut(root: Path) -> Path:
    """40 images whose size tells the score."""
    lines = []
    for i in range(40):
        picture(root / f"{i}.png", seed=i, size=(20 + 10 * (i % 2), 20))
        lines.append([f"{i}.png", f"p{i}", str(50 * (i % 2) + i // 8)])
    table(root / "labels.csv", ["image", "patient", "score"], *lines)
    return root


def test_command_prints_a_table_and_fails_on_a_shortcut(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["audit", str(_shortcut(tmp_path)), "--kind", "table"])
    assert run.exit_code == 1
    line = next(line for line in run.stdout.splitlines() if line.startswith("rows"))
    assert line.split()[1] == "1.000"
    assert line.endswith("ABOVE")
    assert CliRunner().invoke(main, ["audit"]).exit_code == 2


def test_check_split_and_prepare(tmp_path: Path) -> None:
    root = rsna(tmp_path / "set")
    run = CliRunner().invoke(main, ["data", "check", str(root), "--kind", "rsna"])
    assert run.exit_code == 0
    assert "rsna: 3 images of 3 patients from 5 files" in run.stdout
    (root / "train" / "1378.png").unlink()
    run = CliRunner().invoke(main, ["data", "check", str(root), "--kind", "rsna"])
    assert run.exit_code == 1
    assert "image-missing" in run.stdout
    shortcut = _shortcut(tmp_path / "own")
    out = tmp_path / "split"
    options = ["split", str(shortcut), "--kind", "table", "--seed", "1", "--out", str(out)]
    first, second = (CliRunner().invoke(main, options) for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == second.stdout
    run = CliRunner().invoke(
        main,
        [
            "data", "prepare", str(shortcut), "--kind", "table", "--split", str(out),
            "--out", str(tmp_path / "sets"), "--rows", "24", "--columns", "24", "--processes", "1",
        ],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert sorted(p.name for p in (tmp_path / "sets").iterdir()) == ["test", "train", "valid"]
    run = CliRunner().invoke(main, ["data", "check", str(tmp_path / "no"), "--kind", "rsna"])
    assert run.exit_code == 1
    assert "set-missing" in run.output
