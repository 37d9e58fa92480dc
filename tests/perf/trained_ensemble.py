"""The ensemble of ``tests.perf.engines`` with trained weights: do its engines pass the gate?

``python -m tests.perf.trained_ensemble --minutes 60`` trains three ResNet-50, one ResNet-34 and one
MobileNetV2 for the score of generated whole radiographs at 512 x 512 (it goes on where it was cut
off), makes a bundle of them and lets ``ra-daemon models build`` build and gate it for every CPU
engine. Speed does not depend on weights; whether INT8 may be used does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ra_engine.prepare import Preprocessing
from ra_training import assemble
from ra_training.calibration import conformal
from ra_training.data.generated import Recipe, generated
from ra_training.data.prepared import Prepared
from ra_training.metrics import agreement
from ra_training.zoo import member as members
from ra_training.zoo.config import resolve
from ra_training.zoo.export import export_graph
from ra_training.zoo.loop import fit, predict
from tests.perf.engines import MEMBERS, SIZE, THREADS
from tests.support.paths import REPOSITORY

FOLDER = REPOSITORY / ".bench" / "trained"
ENGINES = ("onnxruntime:int8", "openvino:bf16", "openvino:int8")
SPEC = Preprocessing(kind="letterbox", rows=SIZE, columns=SIZE)


def images(n: int, seed: int) -> Prepared:
    """Generated radiographs of both hands."""
    recipe = Recipe(n=n, seed=seed, unit="image", rows=SIZE, columns=SIZE, prior="flat")
    return generated(recipe, FOLDER / "cache", processes=THREADS)


def trained(train: Prepared, valid: Prepared, epochs: int, deadline: float) -> list[Path] | None:
    """Weight files of the five members; None when the time was up."""
    files = []
    for seed, architecture in enumerate(MEMBERS):
        config = resolve(
            {
                "architecture": architecture, "seed": seed, "epochs": epochs, "batch": 8,
                "validate_every": 0, "threads": THREADS, "optimiser": {"peak": 5e-4},
            }
        )  # fmt: skip
        left = (deadline - time.monotonic()) / 60
        started = time.monotonic()
        run = FOLDER / f"{seed}-{architecture}"
        found = fit(config, train, valid, run, minutes=max(left, 0.01))
        if not found.done:
            return None
        figure = agreement.pcc(valid.targets("score").astype(float), found.predictions)
        spent = time.monotonic() - started
        print(f"{run.name}: PCC {figure:.3f} (phantom), {spent:.0f} s", file=sys.stderr)
        files.append(found.weights)
    return files


def bundle(files: list[Path], held: Prepared) -> Path:
    """A demonstration bundle of the mean of the members."""
    folder = FOLDER / "bundle"
    folder.mkdir(exist_ok=True)
    share = [1 / len(files)] * len(files)
    nets = [members.load(f).in_units() for f in files]
    export_graph(nets, share, folder / "graph.onnx", size=(SIZE, SIZE))
    score = np.mean([predict(f, held)[0] for f in files], 0).astype(np.float64)
    truth = held.targets("score").astype(np.float64)
    table = conformal.fit(np.maximum(score, 0), truth, bands=1).table()
    text = assemble.header("ensemble", "1.0.0", "image", ["svdh"], ["members", "score", "cam"])
    text += assemble.preprocessing_table(SPEC)
    names = [f"{name} {seed}" for seed, name in enumerate(MEMBERS)]
    text += f'\n[score]\nmembers = {json.dumps(names)}\nrubric = "{assemble.RUBRIC}"\n'
    text += "\n[score.both]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())
    text += "\n[cam]\nthreshold = 0.0\nfull_scale = 1.0\n"
    text += assemble.training_table(
        "generated radiographs", {"pcc": agreement.pcc(truth, score), "n": float(len(held))}
    )
    assemble.seal(folder, text, "# A bundle of a benchmark: demonstration only\n")
    return folder


def gated(folder: Path) -> str:
    """The table that ``ra-daemon models build`` prints for every engine."""
    site = FOLDER / "site"
    (site / "models").mkdir(parents=True, exist_ok=True)
    link = site / "models" / "ensemble-1.0.0"
    if not link.exists():
        link.symlink_to(folder, target_is_directory=True)
    config = FOLDER / "ra-daemon.toml"
    config.write_text(f'[store]\nroot = "{site}"\n[scoring]\nbundle = "ensemble-1.0.0"\n')
    rows = []
    for engine in ENGINES:
        backend, precision = engine.split(":")
        command = [sys.executable, "-m", "ra_daemon", "models", "build", "--force", "--json"]
        done = subprocess.run(
            [*command, "--backend", backend, "--precision", precision, "--config", str(config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        rows += json.loads(done.stdout) if done.stdout else [{"state": done.stderr.strip()}]
    lines = ["| engine | state | gate |", "|---|---|---|"]
    lines += [
        f"| {engine} | {row['state']} | {row.get('gate', '')} |"
        for engine, row in zip(ENGINES, rows, strict=True)
    ]
    return "\n".join(lines)


def main() -> None:
    """Train what is left, then print the gate's verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    deadline = time.monotonic() + 60 * asked.minutes
    files = trained(images(asked.images, 7101), images(80, 7102), asked.epochs, deadline)
    if files is None:
        print("Time is up; the same command goes on.")
        return
    print(gated(bundle(files, images(200, 7103))))


if __name__ == "__main__":
    main()
