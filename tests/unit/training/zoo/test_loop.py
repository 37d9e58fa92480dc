"""A resumed run is the uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("torchvision", reason="install ra-daemon[train]")

from safetensors.torch import load_file  # noqa: E402

from ra_training.data.prepared import Prepared  # noqa: E402
from ra_training.data.sample import Sample  # noqa: E402
from ra_training.errors import TrainingError  # noqa: E402
from ra_training.zoo.config import RunConfig, resolve  # noqa: E402
from ra_training.zoo.loop import fit, predict, rate  # noqa: E402

BASE: dict[str, Any] = {
    "architecture": "mobilenet_v2", "epochs": 2, "batch": 4, "seed": 5, "save_every": 3,
    "amp": True,
}  # fmt: skip


def small(n: int = 14, **changes: Any) -> Prepared:
    """Bright squares whose number is the score."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 60, (n, 64, 64), np.uint8)
    samples = []
    for i in range(n):
        count = i % 5
        for k in range(count):
            pixels[i, 4 + 12 * k : 12 + 12 * k, 20:40] = 250
        facts = {"score": 10.0 * count, "months": 12.0 * count, "sex": "F", **changes}
        samples.append(
            Sample(
                key=f"s{i}", patient_id=f"p{i}", visit="1", source="phantom", image=None,
                hands="left", **facts,
            )
        )  # fmt: skip
    return Prepared(pixels=pixels, samples=tuple(samples), unit="hand")


def same(a: Path, b: Path) -> bool:
    """Whether two files hold the same tensors."""
    left, right = load_file(a), load_file(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("scheme", ["scratch", "two-phase", "RBs-1"])
def test_a_resumed_run_equals_an_uninterrupted_one(scheme: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config, data = resolve({**BASE, "scheme": scheme}), small()
    whole = fit(config, data, data, tmp_path / "whole")
    for stop in (1, 4, 5, None):
        part = fit(config, data, data, tmp_path / "parts", stop_at=stop)
    assert whole.done
    assert part.done
    for name in ("checkpoint.safetensors", "member.safetensors"):
        assert same(tmp_path / "whole" / name, tmp_path / "parts" / name)
    assert np.array_equal(whole.predictions, part.predictions)
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == list(range(1, whole.step + 1))


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    data = small()
    for seed in (1, 2):
        fit(resolve({**BASE, "seed": seed, "epochs": 1}), data, data, tmp_path / str(seed))
    assert not same(tmp_path / "1/member.safetensors", tmp_path / "2/member.safetensors")


def test_training_learns(tmp_path: Path) -> None:
    data = small(20)
    config = resolve(
        {
            "architecture": "resnet18", "epochs": 25, "batch": 10, "amp": False,
            "augment": {"turn_degrees": 0, "scale": 0, "shift": 0, "tone": 0, "noise": 0},
            "optimiser": {"peak": 2e-3, "ema": 0.8},
        }
    )  # fmt: skip
    found = fit(config, data, data, tmp_path)
    truth = data.targets("score")
    assert np.corrcoef(found.predictions, truth)[0, 1] > 0.9
    again, _ = predict(found.weights, data)
    assert np.array_equal(again, found.predictions)


@pytest.mark.parametrize(
    ("head", "loss"),
    [
        ("mlp", "mse"), ("coral", "coral"), ("corn", "corn"), ("bins", "cross_entropy"),
        ("bins", "triangular"), ("bins", "expectation"),
    ],
)  # fmt: skip
def test_every_head_trains(head: str, loss: str, tmp_path: Path) -> None:
    classes = {"edges": [0.0, 15.0], "values": [0.0, 10.0, 30.0]} if head != "mlp" else {}
    config = resolve({**BASE, "head": head, "loss": loss, "epochs": 1, **classes})
    found = fit(config, small(8), small(4), tmp_path)
    assert np.isfinite(found.predictions).all()
    assert found.logits.shape == (4, 0 if head == "mlp" else 2)


def test_bone_age_first_then_scores(tmp_path: Path) -> None:
    ages = fit(
        resolve({**BASE, "target": "months", "epochs": 1}), small(8), small(4), tmp_path / "age"
    )
    scored = resolve({**BASE, "epochs": 1, "scheme": "head", "weights": str(ages.weights)})
    found = fit(scored, small(8), small(4), tmp_path / "score")
    before, after = load_file(ages.weights), load_file(found.weights)
    kept = [k for k in before if k.startswith("backbone.") and k.endswith("weight")]
    assert all(torch.equal(before[k], after[k]) for k in kept)


def test_missing_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="first s0"):
        fit(resolve(BASE), small(4, score=None), small(4), tmp_path)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    config = RunConfig()
    rates = [rate(config, s, 100) for s in range(100)]
    assert rates[9] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-6
    assert all(a <= b for a, b in pairwise(rates[:10]))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"architectur": "resnet18"}, "architectur"),
        ({"architecture": "vgg"}, "one of"),
        ({"head": "coral", "loss": "mse"}, "takes coral"),
        ({"head": "coral", "loss": "coral", "edges": [1.0], "values": [1.0]}, "one more"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_a_wrong_configuration_names_the_key(table: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        resolve(table)


def test_changes_from_the_command_line() -> None:
    config = resolve({}, ["optimiser.peak=5e-4", "architecture=resnet34", "epochs=3"])
    assert (config.optimiser.peak, config.architecture, config.epochs) == (5e-4, "resnet34", 3)
    with pytest.raises(TrainingError, match=r"a\.b=c"):
        resolve({}, ["epochs"])


_TWO = """
import sys
from itertools import pairwise
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.training.zoo.test_loop import BASE, small
from ra_training.zoo.config import resolve
from ra_training.zoo.loop import _Run, fit
import hashlib, os, torch
torch.set_num_threads(1)
config = resolve({{**BASE, "epochs": 1, "amp": False}})
found = fit(config, small(8), small(4), Path({out!r}))
run = _Run(config, small(8), Path({out!r}) / "again" / os.environ["RANK"])
run.first = False
run.advance()
digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in run.model.parameters()))
Path({out!r}, "rank" + os.environ["RANK"]).write_text(f"{{found.step}} {{digest.hexdigest()}}")
"""


def test_two_processes_share_a_batch(tmp_path: Path) -> None:
    """Both finish, only the first writes, and the gradients were averaged over both."""
    script = tmp_path / "two.py"
    root = Path(__file__).parents[4]
    script.write_text(_TWO.format(root=str(root), out=str(tmp_path / "run")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(script)],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = [(tmp_path / "run" / f"rank{rank}").read_text() for rank in (0, 1)]
    assert said[0].startswith("2 ")
    assert said[0] == said[1]  # one network, though each saw half of every batch
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
