"""The ensemble of ``tests.perf.engines`` with trained weights: do its engines pass the gate?

``python -m tests.perf.trained_ensemble --minutes 90`` trains three ResNet-50, one ResNet-34 and one
MobileNetV2 for the score of generated hands, at 256 x 256 and in the end at 512 x 512 (it goes on
where it was cut off), makes a bundle of them and lets ``ra-daemon models build`` build and gate it
for every CPU engine. Speed does not depend on weights; whether INT8 may be used, and how much of
it, does. After it, ``tests.perf.engines`` times these graphs in place of those with random weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.prepare import Preprocessing
from ra_engine.spec import EngineSpec
from ra_training import assemble, calibrate
from ra_training.calibration import conformal
from ra_training.data.generated import Recipe, generated
from ra_training.data.prepared import Prepared
from ra_training.metrics import agreement
from ra_training.zoo import member as members
from ra_training.zoo.augment import plain
from ra_training.zoo.config import resolve
from ra_training.zoo.export import export_graph
from ra_training.zoo.loop import fit
from tests.perf.engines import MEMBERS, SIZE, THREADS, TRAINED
from tests.support.paths import REPOSITORY

FOLDER = REPOSITORY / ".bench" / "training"
ENGINES = ("onnxruntime:int8", "openvino:bf16", "openvino:int8")
SPEC = Preprocessing(kind="hand_view", rows=SIZE, columns=SIZE)


def images(n: int, seed: int) -> Prepared:
    """Both hands of ``n`` generated subjects."""
    recipe = Recipe(n=n, seed=seed, rows=SIZE, columns=SIZE, height=1024)
    return generated(recipe, FOLDER / "cache", processes=THREADS)


def halved(held: Prepared) -> Prepared:
    """The same images at half the size: a step there costs a quarter."""
    n, rows, columns = held.pixels.shape
    small = np.empty((n, rows // 2, columns // 2), np.uint8)
    for place, image in zip(small, held.pixels, strict=True):
        place[:] = image.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)).round()
    return Prepared(pixels=small, samples=held.samples, unit=held.unit)


def trained(train: Prepared, valid: Prepared, epochs: int, deadline: float) -> list[Path] | None:
    """Weight files of the five members; None when the time was up.

    Most epochs see images of half the size, the last two the size that is timed (progressive
    resizing): the features are pooled, so that a network fits images of any size.
    """
    stages = (("half", halved(train), halved(valid), epochs), ("whole", train, valid, 2))
    files = []
    for seed, architecture in enumerate(MEMBERS):
        weights = None
        for stage, shown, held, passes in stages:
            config = resolve(
                {
                    "architecture": architecture, "seed": seed, "epochs": passes, "batch": 8,
                    "validate_every": 0, "threads": THREADS, "optimiser": {"peak": 5e-4},
                    "scheme": "scratch" if weights is None else "finetuned", "weights": weights,
                }
            )  # fmt: skip
            left = (deadline - time.monotonic()) / 60
            started = time.monotonic()
            run = FOLDER / f"{seed}-{architecture}-{stage}"
            found = fit(config, shown, held, run, minutes=max(left, 0.01))
            if not found.done:
                return None
            figure = agreement.pcc(held.targets("score").astype(float), found.predictions)
            spent = time.monotonic() - started
            print(f"{run.name}: PCC {figure:.3f} (phantom), {spent:.0f} s", file=sys.stderr)
            weights = str(found.weights)
        files.append(Path(str(weights)))
    return files


def bundle(files: list[Path], held: Prepared) -> tuple[Path, float]:
    """A demonstration bundle of the mean of the members, and its PCC on held-out hands."""
    folder = FOLDER / "bundle"
    folder.mkdir(exist_ok=True)
    nets = [members.load(f).in_units() for f in files]
    export_graph(
        nets, [1 / len(files)] * len(files), folder / "graph.onnx", size=(SIZE, SIZE),
        images=plain(torch.from_numpy(np.array(held.pixels[:4]))),
    )  # fmt: skip
    score, peaks = said(folder / "graph.onnx", held)
    truth = held.targets("score").astype(np.float64)
    scale = calibrate.heat_scale(peaks, truth)
    text = assemble.header("ensemble", "1.0.0", "hand", ["svdh"], ["members", "score", "cam"])
    text += assemble.preprocessing_table(SPEC)
    names = [f"{name} {seed}" for seed, name in enumerate(MEMBERS)]
    text += f"\n[score]\nscale_max = 140.0\nmembers = {json.dumps(names)}\n"
    text += f'rubric = "{assemble.RUBRIC}"\n'
    both = (score[::2] + score[1::2], truth[::2] + truth[1::2])  # the hands of a subject in turn
    for kind, (found, known) in (("hand", (score, truth)), ("both", both)):
        table = conformal.fit(np.maximum(found, 0), known, bands=1).table()
        text += f"\n[score.{kind}]\n"
        text += "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())
    text += f"\n[cam]\nthreshold = {scale[0]}\nfull_scale = {scale[1]}\n"
    pcc = agreement.pcc(truth, score)
    text += assemble.training_table("generated radiographs", {"pcc": pcc, "n": float(len(held))})
    assemble.seal(folder, text, "# A bundle of a benchmark: demonstration only\n")
    return folder, pcc


def said(graph: Path, held: Prepared) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) scores, and the highest place of each map."""
    session = OnnxRuntimeBackend().load(graph, EngineSpec(threads=THREADS))
    rows = [session.run(plain(torch.from_numpy(np.array(p[None]))).numpy()) for p in held.pixels]
    score, cam = (np.concatenate([row[name] for row in rows]) for name in ("score", "cam"))
    return score.astype(np.float64), cam.max((1, 2)).astype(np.float64)


def gated(folder: Path) -> dict[str, dict[str, Any]]:
    """What ``ra-daemon models build`` says of every engine."""
    models = FOLDER / "site" / "models"
    models.mkdir(parents=True, exist_ok=True)
    link = models / "ensemble-1.0.0"
    if not link.exists():
        link.symlink_to(folder, target_is_directory=True)
    config = FOLDER / "ra-daemon.toml"
    config.write_text(
        f'[store]\nroot = {json.dumps(str(models.parent))}\n[scoring]\nbundle = "ensemble-1.0.0"\n'
    )
    config.chmod(0o600)
    rows = {}
    print("| engine | state | gate |\n|---|---|---|")
    for engine in ENGINES:
        backend, precision = engine.split(":")
        command = [sys.executable, "-m", "ra_daemon.cli", "models", "build", "--force", "--json"]
        done = subprocess.run(
            [*command, "--backend", backend, "--precision", precision, "--config", str(config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = json.loads(done.stdout) if done.stdout.strip() else [{"state": done.stderr.strip()}]
        rows[engine] = found[0]
        print(f"| {engine} | {found[0]['state']} | {found[0].get('gate', '')} |", flush=True)
    return rows


def hand_over(folder: Path, row: dict[str, Any], pcc: float) -> None:
    """Put graph and gated INT8 file where ``tests.perf.engines`` looks for them."""
    TRAINED.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "graph.onnx", TRAINED / "ensemble.onnx")
    engines = FOLDER / "site" / "engines"
    shutil.copy(engines / f"{row['key']}.onnx", TRAINED / "ensemble-u8.onnx")
    kept = len(json.loads((engines / f"{row['key']}.json").read_text())["kept_fp32"])
    (TRAINED / "ensemble.txt").write_text(
        f"PCC {pcc:.3f} on held-out generated hands, phantom figure; INT8 with {kept} convolutions "
        f"in FP32: {row['gate']}"
    )


def main() -> None:
    """Train what is left, then print the gate's verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--images", type=int, default=400, help="subjects, two hands each")
    parser.add_argument("--epochs", type=int, default=8, help="at half the size")
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    deadline = time.monotonic() + 60 * asked.minutes
    files = trained(images(asked.images, 7101), images(20, 7102), asked.epochs, deadline)
    if files is None:
        print("Time is up; the same command goes on.")
        return
    folder, pcc = bundle(files, images(50, 7103))
    int8 = gated(folder)["onnxruntime:int8"]
    if int8["state"] == "built":
        hand_over(folder, int8, pcc)


if __name__ == "__main__":
    main()
