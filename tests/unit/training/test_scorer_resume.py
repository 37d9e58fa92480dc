"""The demonstration scorer's training goes on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from safetensors.torch import load_file  # noqa: E402

from ra_training.scorer.crops import Crops  # noqa: E402
from ra_training.scorer.train import Member  # noqa: E402


def crops(n: int = 4) -> Crops:
    """Noise with grades."""
    rng = np.random.default_rng(1)
    return Crops(
        pixels=rng.integers(0, 255, (n, 384, 288), np.uint8),
        joints=rng.random((n, 31, 2), np.float32),
        grades=rng.integers(0, 4, (n, 31)).astype(np.int8),
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second passes whenever somebody looks, which is twice a step; one thread."""
    ticks = count()
    monkeypatch.setattr("ra_training.scorer.train.time.monotonic", lambda: float(next(ticks)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, clock: None) -> None:
    steps: dict[str, list[int]] = {"whole": [], "parts": []}
    for name, limits in (("whole", (99.0,)), ("parts", (3.5, 99.0))):
        for seconds in limits:
            member = Member("plain", tmp_path / name, seed=3, steps=4, peak=1e-3)
            member.fit(crops(), batch=2, minutes=seconds / 60, log_every=1)
            steps[name].append(member.step)
    assert steps == {"whole": [4], "parts": [2, 4]}
    one, two = (load_file(tmp_path / f / "last.safetensors") for f in ("whole", "parts"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)
