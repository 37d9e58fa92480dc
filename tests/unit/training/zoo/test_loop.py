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
from ra_training.zoo.augment import plain  # noqa: E402
from ra_training.zoo.config import RunConfig, resolve  # noqa: E402
from ra_training.zoo.export import export_graph  # noqa: E402
from ra_training.zoo.journal import read  # noqa: E402
from ra_training.zoo.loop import fit, predict, rate  # noqa: E402
from ra_training.zoo.member import Member, load  # noqa: E402
from ra_training.zoo.trainer import Trainer  # noqa: E402
from ra_training.zoo.world import World  # noqa: E402

BASE: dict[str, Any] = {
    "architecture": "mobilenet_v2", "epochs": 2, "batch": 4, "seed": 5, "save_every": 3,
    "amp": True, "log_every": 1,
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
    rows = [
        json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [row["step"] for row in rows if "loss" in row]
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
        ({"architectur": "resnet18"}, "mean 'architecture'"),
        ({"optimiser": {"peek": 1}}, "mean 'optimiser.peak'"),
        ({"half": "fp16"}, "needs a GPU"),
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


STILL = {"turn_degrees": 0, "scale": 0, "shift": 0, "tone": 0, "noise": 0, "blur": 0, "jpeg": 0}
SHARED = {**BASE, "epochs": 2, "amp": False, "scheme": "head", "augment": STILL}

_TWO = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from tests.unit.training.zoo.test_loop import BASE, SHARED, small
from ra_training.zoo.config import resolve
from ra_training.zoo.loop import fit
torch.set_num_threads(1)
out = Path({out!r})
free = resolve({{**BASE, "epochs": 1, "scheme": "two-phase"}})
for stop in (2, None):
    found = fit(free, small(8), small(4), out / "free", stop_at=stop)
print("rank", os.environ["RANK"], found.step, found.predictions.tobytes().hex(), flush=True)
fit(resolve(SHARED), small(8), small(4), out / "shared")
"""


def test_two_processes_train_the_network_that_one_trains(tmp_path: Path) -> None:
    """Gradients are averaged over both: with statistics frozen the result is the same."""
    script = tmp_path / "two.py"
    root = Path(__file__).parents[4]
    script.write_text(_TWO.format(root=str(root), out=str(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(script)],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    said = sorted(line.split() for line in done.stdout.splitlines() if line.startswith("rank"))
    assert [words[1:3] for words in said] == [["0", "2"], ["1", "2"]]
    assert said[0][3] == said[1][3]
    assert [r["step"] for r in read(tmp_path / "free") if "loss" in r] == [1, 2]  # one writer
    alone = fit(resolve(SHARED), small(8), small(4), tmp_path / "alone")
    one, two = load_file(alone.weights), load_file(tmp_path / "shared" / "member.safetensors")
    moved = [k for k in one if k.startswith("head.")]
    assert moved
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = World(rank=0, ranks=3, device=torch.device("cpu"))
    monkeypatch.setattr("ra_training.zoo.loop.world", lambda name: three)
    with pytest.raises(TrainingError, match="4 cannot be shared by 3"):
        fit(resolve(BASE), small(4), small(4), tmp_path)


def test_a_run_that_is_cut_off_anywhere_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in the middle of a step: rows after the checkpoint go, no bit differs."""
    torch.set_num_threads(1)
    config, data = resolve(BASE), small()
    whole = fit(config, data, data, tmp_path / "whole")
    real = Trainer.step

    def crash(self: Trainer, step: int, *rest: Any) -> Any:
        if step == 5:
            raise KeyboardInterrupt
        return real(self, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", crash)
        with pytest.raises(KeyboardInterrupt):
            fit(config, data, data, tmp_path / "cut")
    assert [r["step"] for r in read(tmp_path / "cut") if "loss" in r] == [1, 2, 3, 4, 5]
    again = fit(config, data, data, tmp_path / "cut")
    assert same(whole.weights, again.weights)
    kept = ("loss", "valid_rmse")
    told = [
        [{k: r[k] for k in kept if k in r} for r in read(tmp_path / f)] for f in ("whole", "cut")
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("other", ["configuration", "data"])
def test_a_folder_with_another_run_is_refused(other: str, tmp_path: Path) -> None:
    config, data = resolve({**BASE, "epochs": 1}), small(8)
    fit(config, data, data, tmp_path, stop_at=1)
    changed = resolve({**BASE, "epochs": 1, "seed": 6}) if other == "configuration" else config
    with pytest.raises(TrainingError) as caught:
        fit(changed, small(9) if other == "data" else data, data, tmp_path)
    assert caught.value.code == "checkpoint-other"


def test_how_often_a_run_is_saved_does_not_make_it_another(tmp_path: Path) -> None:
    data = small(8)
    fit(resolve({**BASE, "epochs": 1}), data, data, tmp_path, stop_at=1)
    assert fit(resolve({**BASE, "epochs": 1, "save_every": 1}), data, data, tmp_path).done


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no tensors")
    with pytest.raises(TrainingError) as caught:
        fit(resolve(BASE), small(8), small(4), tmp_path)
    assert caught.value.code == "checkpoint-damaged"


def test_the_best_epoch_is_kept_and_patience_ends_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [5.0, 3.0, 4.0, 4.5, 1.0]
    seen: list[Any] = []

    def scripted(predicted: Any, truth: Any) -> dict[str, float]:
        seen.append(predicted)
        return {"valid_rmse": given[len(seen) - 1]}

    monkeypatch.setattr("ra_training.zoo.loop.errors", scripted)
    config = resolve({**BASE, "epochs": 9, "patience": 2, "keep": "best"})
    found = fit(config, small(8), small(8), tmp_path)
    assert (found.done, found.epochs, len(seen)) == (True, 4, 4)
    assert np.array_equal(found.predictions, seen[1])
    assert not np.array_equal(found.predictions, seen[3])


def test_time_ends_a_run_and_it_goes_on(tmp_path: Path) -> None:
    data, config = small(8), resolve({**BASE, "epochs": 1})
    first = fit(config, data, data, tmp_path, minutes=1e-6)
    assert (first.step, first.done) == (1, False)
    assert fit(config, data, data, tmp_path).done


@pytest.mark.parametrize("head", ["linear", "mlp", "coral", "bins"])
def test_a_graph_of_a_run_answers_in_label_units(head: str, tmp_path: Path) -> None:
    """From training to ONNX Runtime: the same scores, 0-280 and not divided by the scale."""
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript", reason="install ra-daemon[train]")
    data = small(8)
    more = {"edges": [0.0, 15.0], "values": [0.0, 10.0, 30.0]} if head in ("coral", "bins") else {}
    loss = {"coral": "coral", "bins": "expectation"}.get(head, "mse")
    config = resolve({**BASE, "epochs": 1, "head": head, "loss": loss, **more})
    found = fit(config, data, data, tmp_path)
    path = export_graph(
        [load(found.weights).in_units()], [1.0], tmp_path / "graph.onnx", size=(64, 64)
    )
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"x": plain(torch.from_numpy(data.pixels)).numpy()})
    assert found.predictions.max() > 5
    np.testing.assert_allclose(score, found.predictions, rtol=1e-4, atol=1e-4)


def test_a_bone_age_network_is_not_exported(tmp_path: Path) -> None:
    made = Member(resolve({**BASE, "target": "months"}))
    with pytest.raises(TrainingError, match="Fine-tune it on scores first"):
        made.in_units()


def test_bone_age_needs_the_sex(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="8 of 8 images tell no sex, first s0"):
        fit(resolve({**BASE, "target": "months"}), small(8, sex=None), small(4), tmp_path)


def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(TrainingError, match="finds no GPU"):
        fit(resolve({**BASE, "device": "cuda"}), small(8), small(4), tmp_path)
