"""From predictions to claims, tables, figures and the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ra_training.calibration.conformal import coverage
from ra_training.errors import TrainingError
from ra_training.study import figures, published, report, tables
from ra_training.study.hypotheses import hypotheses
from ra_training.study.results import collect
from ra_training.study.stacks import calibrated, stacked
from tests.unit.training.study.fakes import fake_runs, study


def test_claims_come_out_as_the_predictions_were_made(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    every = hypotheses(results, stacked(results), draws=200)
    found = {(h.claim, h.second): h for h in every if h.figure != "PCC"}
    transfer = found["transfer from bone age beats training from scratch", "mobilenet_v2 finetuned"]
    assert transfer.verdict == "holds"
    assert transfer.difference.high < 0
    ordinal = found["an ordinal loss beats cross-entropy", "mobilenet_v2 finetuned coral"]
    assert ordinal.verdict == "holds"
    assert ordinal.difference.low > 0
    assert results.best.scheme == "finetuned"


def test_a_claim_that_fails_is_said_to_fail(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    swapped = [
        c for c in results.cells if c.stage == "class" or c.scheme == "scratch"
    ] + [
        c for c in results.cells if c.stage == "score" and c.scheme == "finetuned"
    ]  # fmt: skip
    scratch, tuned = (next(c for c in swapped if c.stage == "score" and c.scheme == s)
                      for s in ("scratch", "finetuned"))  # fmt: skip
    scratch.test[:], tuned.test[:] = tuned.test.copy(), scratch.test.copy()
    found = hypotheses(results, stacked(results), draws=200)
    assert found[0].verdict == "fails"


def test_out_of_fold_predictions_are_whole_and_never_in_fold(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    for cell in results.cells:
        assert cell.oof.shape == (2, 60)
        assert np.isfinite(cell.oof).all()
        assert cell.test.shape == (2, 60)


def test_folds_that_were_not_run_leave_holes_that_the_stack_avoids(tmp_path: Path) -> None:
    made = study(tmp_path, run_folds=[1])
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    assert np.isnan(results.cells[0].oof).any()
    assert np.isfinite(stacked(results).score["nnls"]).all()


def test_a_study_with_runs_left_makes_no_report(tmp_path: Path) -> None:
    made = study(tmp_path)
    sets = fake_runs(made, tmp_path)
    next((tmp_path / "runs").rglob("done.json")).unlink()
    with pytest.raises(TrainingError) as refused:
        collect(made, sets, tmp_path)
    assert refused.value.code == "study-unfinished"


def test_both_figures_of_the_paper_are_compared(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    found = hypotheses(results, stacked(results), draws=60)
    transfer = [h for h in found if h.claim.startswith("transfer")]
    assert [(h.figure, h.better) for h in transfer] == [("RMSE", -1), ("PCC", 1)]
    assert [h.verdict for h in transfer] == ["holds", "holds"]


def test_the_likeliest_class_is_told_beside_the_median_one(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    cell = results.class_cells[0]
    cell.test_logits[0, 0] = (0.3, -0.3)  # P = .43, .15, .43
    cell.test_logits[0, 1] = (0.3, -0.4)
    assert cell.classes(results.edges)[0, :2].tolist() == [1, 1]
    assert cell.likeliest()[0, 1] == 0
    names = [row[0] for row in tables.classes(results, stacked(results), 30).rows]
    assert {cell.name, f"{cell.name}, likeliest class"} <= set(names)


def test_class_networks_enter_the_stacked_ordinal_model(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    before = stacked(results).classes
    assert before is not None
    for cell in results.class_cells:
        cell.test_logits[:] = cell.test_logits[:, ::-1].copy()
    after = stacked(results).classes
    assert after is not None
    assert (before != after).any()


def test_every_band_of_the_score_has_intervals(tmp_path: Path) -> None:
    made = study(tmp_path)
    sets = fake_runs(made, tmp_path)
    results = collect(made, sets, tmp_path)
    groups = tables.groups(results, stacked(results), sets.test.samples, 30)
    assert [t.name for t in groups] == ["bands", "sources", "readers", "sites"]
    bands = groups[0]
    assert [r[0] for r in bands.rows] == ["0", "1-10", "11-50", "over 50"]
    assert sum(int(r[1]) for r in bands.rows) == len(sets.test)
    cells = dict(zip(bands.columns, bands.rows[0], strict=True))
    assert cells["pcc"] == "-"  # all truths are zero
    assert " to " in cells["mae"]


def test_coverage_is_told_under_the_band_that_it_belongs_to(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    found = calibrated(results, stacked(results))
    interval = replace(found.interval, upper=(1.0, 2.0, 50.0, 1e9), low=(9.0,) * 4,
                       high=(9.0,) * 4)  # fmt: skip
    cover = coverage(interval, np.array([20.0, 90.0]), np.array([21.0, 120.0]))
    table = tables.calibration(replace(found, interval=interval, coverage=cover))
    assert table.rows[0] == ("predicted up to 50", "1", "1.000")
    assert table.rows[1] == ("predicted above", "1", "0.000")


def test_intervals_are_fitted_apart_from_the_test_set(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    found = calibrated(results, stacked(results))
    assert found.interval.n == len(results.calibrate_truth) == 80
    assert found.coverage.overall > 0.75
    assert found.temperature is not None


def test_published_columns_are_blank_where_nothing_was_published(tmp_path: Path) -> None:
    made = study(tmp_path)
    results = collect(made, fake_runs(made, tmp_path), tmp_path)
    table = tables.scores(results, stacked(results), 30)
    paper = next(r for r in table.rows if r[0].startswith("Bo 2024"))
    cells = dict(zip(table.columns, paper, strict=True))
    assert (cells["pcc"], cells["rmse"]) == ("0.925", "18.02")
    assert cells["mae"] == cells["icc_a1"] == cells["bias"] == ""
    assert "arXiv 2406.09980" in paper[0]


def test_published_figures_have_a_citation_and_a_column() -> None:
    from ra_training.metrics.agreement import METRICS
    from ra_training.metrics.classes import CLASS_METRICS

    for one in (*published.SCORE, *published.CLASSES):
        assert "arXiv" in one.citation
        assert set(one.figures) <= {*METRICS, *CLASS_METRICS}


def test_decile_means() -> None:
    truth = np.arange(100.0)
    x, y, sd = figures.deciles(truth, truth + 1)
    assert x.tolist() == pytest.approx([4.5 + 10 * i for i in range(10)])
    assert (y - x).tolist() == pytest.approx([1.0] * 10)
    assert sd == pytest.approx(np.full(10, np.arange(10.0).std()))


def test_the_page_needs_no_other_file_and_says_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install ra-daemon[study]")
    draw = np.random.default_rng(0)
    truth = draw.gamma(1, 40, 60)
    image = figures.predicted_against_true(
        tmp_path / "a.png", truth, truth + 3, title="t", label="generated images (phantom)"
    )
    maps = figures.heatmap_panel(
        tmp_path / "b.png", np.zeros((3, 20, 30), np.uint8), draw.normal(0, 1, (3, 20, 30)),
        ["TN", "<b>", "TP"], title="t", label="generated images (phantom)",
    )  # fmt: skip
    table = tables.Table(name="n", title="<T>", columns=("a",), rows=(("<script>",),))
    page = report.write(
        tmp_path / "report.html", name="S", label="generated images (phantom)", facts="f",
        tables=[table], figures={"one": image, "two": maps}, configuration="{}",
    ).read_text()  # fmt: skip
    assert "Generated images (phantom)" in page
    assert "nothing about accuracy on patients" in page
    assert "<script>" not in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_a_study_of_prepared_sets_is_labelled_real(tmp_path: Path) -> None:
    page = report.write(
        tmp_path / "report.html", name="S", label=study(tmp_path).label, facts="f", tables=[],
        figures={}, configuration="{}",
    ).read_text()  # fmt: skip
    assert "<b>Real images.</b> Published figures were taken on other patients" in page


def test_a_figure_has_the_same_bytes_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install ra-daemon[study]")
    table = np.array([[3, 1], [0, 4]])
    one, two = (
        figures.confusion(tmp_path / f"{n}.png", table, title="t", label="l").read_bytes()
        for n in "ab"
    )
    assert one == two
