"""Every loss against a hand computation or another implementation."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from ra_training.zoo import losses  # noqa: E402
from ra_training.zoo.heads import head  # noqa: E402

RAW = [[0.3, -1.2, 2.0], [1.5, 0.1, -0.7]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_mse_and_smooth_l1() -> None:
    raw, target = torch.tensor([[1.0], [4.0]]), torch.tensor([0.5, 1.0])
    assert float(losses.mse(raw, target)) == pytest.approx((0.25 + 9) / 2)
    assert float(losses.smooth_l1(raw, target)) == pytest.approx((0.125 + 2.5) / 2)


def test_cross_entropy() -> None:
    total = 0.0
    for row, c in zip(RAW, (2, 0), strict=True):
        total -= math.log(math.exp(row[c]) / sum(map(math.exp, row)))
    found = losses.cross_entropy(torch.tensor(RAW), torch.tensor([2, 0]))
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_coral() -> None:
    total = 0.0
    for row, c in zip(RAW, (2, 0), strict=True):
        for k, z in enumerate(row):
            p = sigmoid(z)
            total -= math.log(p if c > k else 1 - p)
    found = losses.coral(torch.tensor(RAW), torch.tensor([2, 0]))
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_corn_counts_only_cases_that_reach_a_threshold() -> None:
    total, cases = 0.0, 0
    for row, c in zip(RAW, (2, 0), strict=True):
        for k, z in enumerate(row):
            if c >= k:
                total -= math.log(sigmoid(z) if c > k else 1 - sigmoid(z))
                cases += 1
    found = losses.corn(torch.tensor(RAW), torch.tensor([2, 0]))
    assert cases == 4
    assert float(found) == pytest.approx(total / cases, rel=1e-5)


def test_triangular_labels_stay_inside_the_classes() -> None:
    shares = ((0.0, 0.25, 0.75), (0.75, 0.25, 0.0))
    total = 0.0
    for row, share in zip(RAW, shares, strict=True):
        norm = math.log(sum(map(math.exp, row)))
        total -= sum(s * (z - norm) for s, z in zip(share, row, strict=True))
    found = losses.triangular(torch.tensor(RAW), torch.tensor([2, 0]))
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_expectation_over_bins() -> None:
    values = torch.tensor([0.0, 10.0, 30.0])
    total = spread = 0.0
    for row, target in zip(RAW, (12.0, 2.0), strict=True):
        share = [math.exp(z) / sum(map(math.exp, row)) for z in row]
        mean = sum(s * v for s, v in zip(share, (0, 10, 30), strict=True))
        gap = abs(mean - target)
        total += gap - 0.5 if gap > 1 else 0.5 * gap**2
        spread += sum(s * (v - mean) ** 2 for s, v in zip(share, (0, 10, 30), strict=True))
    found = losses.expectation(values)(torch.tensor(RAW), torch.tensor([12.0, 2.0]))
    assert float(found) == pytest.approx(total / 2 + 0.1 * spread / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["coral", "corn", "bins"])
def test_scores_are_expected_values_and_probabilities_fall(kind: str) -> None:
    torch.manual_seed(2)
    top = head(kind, 8, [0.0, 4.0, 20.0, 90.0]).eval()
    with torch.no_grad():
        score, logits = top(torch.rand(5, 8, 3, 2))
    above = torch.sigmoid(logits)
    assert above.shape == (5, 3)
    assert (above[:, :-1] >= above[:, 1:] - 1e-6).all()
    p = torch.cat([torch.ones(5, 1), above, torch.zeros(5, 1)], 1)
    expected = ((p[:, :-1] - p[:, 1:]) * torch.tensor([0.0, 4.0, 20.0, 90.0])).sum(1)
    assert torch.allclose(score, expected, atol=1e-3)


def test_heads_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no head"):
        head("cubic", 8)
    with pytest.raises(ValueError, match="at least two"):
        head("coral", 8, [1.0])
