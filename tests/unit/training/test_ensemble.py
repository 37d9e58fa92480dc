"""Stacking and class edges against scikit-learn and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.ensemble import edges, ordinal, stack
from ra_training.errors import TrainingError
from ra_training.metrics.classes import classes_of


def _members(n: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    truth = np.rint(draw.gamma(0.8, 40, n))
    noise = draw.normal(0, 1, (n, 3)) * [6, 9, 25]
    return truth[:, None] * [0.9, 1.1, 1.0] + noise + [2, 0, 5], truth


def test_non_negative_least_squares_against_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="pip install -e .[dev]")
    members, truth = _members()
    members = np.concatenate([members, -members[:, :1]], 1)
    theirs = linear.LinearRegression(positive=True, fit_intercept=False).fit(members, truth)
    own = stack.fit(members, truth)
    assert own.weights == pytest.approx(tuple(theirs.coef_), abs=1e-6)
    assert min(own.weights) >= 0
    assert own.predict(members) == pytest.approx(theirs.predict(members))


@pytest.mark.parametrize("alpha", [0.1, 10.0, 1e4])
def test_ridge_against_scikit_learn(alpha: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="pip install -e .[dev]")
    members, truth = _members()
    theirs = linear.Ridge(alpha=alpha).fit(members, truth)
    own = stack.fit(members, truth, method="ridge", alpha=alpha)
    assert own.weights == pytest.approx(tuple(theirs.coef_))
    assert own.offset == pytest.approx(theirs.intercept_)


def test_the_stack_beats_its_best_member_on_other_cases() -> None:
    members, truth = _members()
    others, other_truth = _members(seed=2)
    for method in ("nnls", "ridge"):
        found = stack.fit(members, truth, method=method).predict(others)
        best = min(np.sqrt(((others - other_truth[:, None]) ** 2).mean(0)))
        assert np.sqrt(((found - other_truth) ** 2).mean()) < best


def test_a_missing_prediction_is_refused() -> None:
    members, truth = _members()
    members[3, 1] = np.nan
    with pytest.raises(TrainingError) as refused:
        stack.fit(members, truth)
    assert refused.value.code == "stack-incomplete"


def test_ordinal_model_against_statsmodels() -> None:
    pytest.importorskip("statsmodels", reason="pip install -e .[dev]")
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    members, truth = _members()
    x = np.log1p(np.maximum(members, 0))
    limits = (0.0, 8.0, 25.0, 60.0)
    y = classes_of(truth, limits)
    own = ordinal.fit(x, y, classes=5, alpha=0.0)
    model = OrderedModel(y, x, distr="logit")
    theirs = model.fit(method="bfgs", disp=False, maxiter=2000, gtol=1e-8)
    assert own.weights == pytest.approx(tuple(theirs.params[:3]), abs=2e-3)
    cuts = model.transform_threshold_params(theirs.params)[1:-1]
    assert own.cuts == pytest.approx(tuple(cuts), abs=5e-3)


def test_ordinal_gradient_by_differences() -> None:
    members, truth = _members(60)
    x, y = members / 50, classes_of(truth, (0.0, 8.0, 25.0))
    at = np.array([0.3, -0.2, 0.1, -1.0, 0.2, -0.4])
    _, gradient = ordinal._loss(at, x, y, 0.01)
    for i in range(len(at)):
        step = np.eye(len(at))[i] * 1e-6
        slope = (ordinal._loss(at + step, x, y, 0.01)[0] - ordinal._loss(at - step, x, y, 0.01)[0]) / 2e-6  # noqa: E501  # fmt: skip
        assert gradient[i] == pytest.approx(slope, abs=1e-6)


def test_ordinal_predictions_rise_with_the_members() -> None:
    members, truth = _members()
    x = np.log1p(np.maximum(members, 0))
    y = classes_of(truth, (0.0, 8.0, 25.0, 60.0))
    fitted = ordinal.fit(x, y, classes=5)
    assert list(fitted.cuts) == sorted(fitted.cuts)
    found = fitted.predict(x)
    assert np.corrcoef(found, y)[0, 1] > 0.85
    assert set(found) <= set(range(5))


def test_a_class_without_cases_is_refused() -> None:
    members, _ = _members(20)
    with pytest.raises(TrainingError) as refused:
        ordinal.fit(members, np.zeros(20, np.int64), classes=3)
    assert refused.value.code == "class-empty"


def test_zero_is_a_class_and_the_others_are_alike_full() -> None:
    draw = np.random.default_rng(4)
    scores = np.rint(draw.gamma(1.2, 40, 4000))
    scores[:900] = 0
    limits = edges.quantile_edges(scores, 10)
    assert limits[0] == 0
    assert list(limits) == sorted(set(limits))
    counts = np.bincount(classes_of(scores, limits))
    assert len(counts) == 10
    assert counts[0] == (scores == 0).sum()
    assert counts[1:].max() < 1.5 * counts[1:].min()


def test_quantiles_against_scikit_learn() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="pip install -e .[dev]")
    scores = np.random.default_rng(5).gamma(1.2, 40, 500)
    own = edges.quantile_edges(scores, 6)
    theirs = preprocessing.KBinsDiscretizer(
        5, encode="ordinal", strategy="quantile", quantile_method="linear"
    ).fit(scores[:, None])
    assert own[1:] == pytest.approx(tuple(np.floor(theirs.bin_edges_[0][1:-1])))


def test_values_of_classes_are_their_means() -> None:
    scores = np.array([0.0, 0.0, 2.0, 4.0, 10.0, 30.0])
    assert edges.class_values(scores, (0.0, 5.0)) == (0.0, 3.0, 20.0)


@pytest.mark.parametrize("classes", [1, 40])
def test_impossible_classes_are_refused(classes: int) -> None:
    with pytest.raises(TrainingError) as refused:
        edges.quantile_edges(np.array([0.0, 1.0, 2.0, 3.0]), classes)
    assert refused.value.code == "classes-impossible"


def test_the_penalty_of_ridge_is_chosen_as_scikit_learn_chooses_it() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="pip install -e .[dev]")
    draw = np.random.default_rng(8)
    truth = draw.gamma(1, 30, 60)
    spread = np.array([1.0, 1.0, 0.1, 0.1, 0.01])
    members = spread * (truth[:, None] + draw.normal(0, [20, 30, 300, 300, 900], (60, 5)))
    scale = len(truth) * members.var(0).mean()
    choice = linear.RidgeCV(alphas=scale * np.array(stack.PENALTIES)).fit(members, truth)
    own = stack.fit(members, truth, method="ridge")
    assert min(stack.PENALTIES) < choice.alpha_ / scale < max(stack.PENALTIES)
    assert own.weights == pytest.approx(choice.coef_, rel=1e-6, abs=1e-9)
    assert own.offset == pytest.approx(choice.intercept_, rel=1e-6)
