"""Every image once an epoch, shared out without overlap."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ra_training.zoo.sampler import Sampler, batches  # noqa: E402


@given(
    count=st.integers(1, 60), each=st.integers(1, 8), ranks=st.integers(1, 4),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_an_epoch_holds_every_image(count: int, each: int, ranks: int, epoch: int) -> None:
    sampler = Sampler(count=count, batch=each * ranks, ranks=ranks, seed=3)
    steps = range(epoch * sampler.steps, (epoch + 1) * sampler.steps)
    seen = np.concatenate([sampler.rows(s, r) for s in steps for r in range(ranks)])
    assert set(seen) == set(range(count))
    assert len(seen) == sampler.steps * each * ranks
    assert np.bincount(seen).max() - 1 <= len(seen) // count  # filled up, not drawn at random


def test_epochs_and_seeds_differ() -> None:
    one, two = (Sampler(count=40, batch=40, ranks=1, seed=s) for s in (1, 2))
    assert list(one.rows(0, 0)) != list(one.rows(1, 0))
    assert list(one.rows(0, 0)) != list(two.rows(0, 0))
    assert list(one.rows(1, 0)) == list(Sampler(count=40, batch=40, ranks=1, seed=1).rows(1, 0))


def test_processes_share_the_batch_of_one() -> None:
    alone = Sampler(count=30, batch=6, ranks=1, seed=1)
    both = Sampler(count=30, batch=6, ranks=2, seed=1)
    for step in range(12):
        shares = np.concatenate([both.rows(step, r) for r in range(2)])
        assert sorted(shares) == sorted(alone.rows(step, 0))


def test_batches_are_read_ahead_in_order() -> None:
    pixels = np.arange(20, dtype=np.uint8)[:, None, None].repeat(2, 1)
    sampler = Sampler(count=20, batch=5, ranks=1, seed=1)
    told = list(batches(pixels, sampler, range(3, 7), 0, torch.device("cpu")))
    assert len(told) == 4
    for step, (rows, found) in zip(range(3, 7), told, strict=True):
        assert list(rows) == list(sampler.rows(step, 0))
        assert list(found[:, 0, 0]) == list(rows)
    assert list(batches(pixels, sampler, range(3, 3), 0, torch.device("cpu"))) == []
