"""Put trained weights into bundle folders: graphs first, then calibration, manifest and hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from ra_engine.bundle import write_sums
from ra_engine.prepare import ORDER, Preprocessing
from ra_training import calibrate
from ra_training.cohorts import THRESHOLDS
from ra_training.graphs import LocatorGraph, ScoreGraph, export
from ra_training.locator.scenes import HAND, cached_scenes
from ra_training.locator.scenes import SPEC as LOCATOR_SPEC
from ra_training.locator.train import embeddings, tensors
from ra_training.nets import DensityNet, LocatorNet
from ra_training.phantom import PHANTOM_VERSION
from ra_training.scorer.bands import BANDS, EDGES_BOTH, EDGES_HAND
from ra_training.scorer.crops import SPEC as SCORE_SPEC
from ra_training.scorer.crops import cached_crops
from ra_training.scorer.train import Member, plain

RUBRIC = "SvdH 1999 (16 erosion 0-5, 15 JSN 0-4 a hand)"
SCORE_OUTPUTS = ["members", "score", "class_logits", "cam"]
COMPARED = 16
"""Held-out images on which a graph is compared with its networks."""
LOCATOR_OUTPUTS = ["heat", "offset", "kind", "physes", "embedding"]


def score_graph(runs: Path, table: dict[str, Any], path: Path) -> dict[str, Any]:
    """Stack the members on held-out hands and write the graph; returns what was fitted."""
    held = cached_crops(runs, table["stack_subjects"], table["stack_seed"], table["priors"])
    nets, columns = [], []
    for trunk in table["members"]:
        folder = runs / f"{trunk}-{table['steps'][trunk]}"
        member = Member(trunk, folder, seed=0, steps=table["steps"][trunk], peak=1e-3)
        net = DensityNet(trunk, BANDS)
        state = load_file(folder / "last.safetensors")
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith("optimiser.")})
        member.net = net.eval()
        nets.append(member.net)
        columns.append(member.predict(held)[0].astype(np.float64))
    weights = calibrate.stack(np.stack(columns, 1), held.totals.astype(np.float64))
    export(
        ScoreGraph(nets, weights, 0.0), (SCORE_SPEC.rows, SCORE_SPEC.columns), SCORE_OUTPUTS, path,
        images=plain(torch.from_numpy(held.pixels[:COMPARED])),
    )  # fmt: skip
    return {"weights": weights}


def locator_graph(runs: Path, table: dict[str, Any], folder: Path) -> dict[str, float]:
    """Write graph and feature statistics of the locator; returns held-out figures.

    Shares come with the number of scenes that they are shares of: ``KEY`` of ``scenes_KEY``.
    """
    net = LocatorNet()
    net.load_state_dict(load_file(runs / f"locator-{table['steps']}" / "last.safetensors"))
    net.eval()
    held = cached_scenes(runs, table["held_scenes"], table["held_seed"])
    export(
        LocatorGraph(net), (LOCATOR_SPEC.rows, LOCATOR_SPEC.columns), LOCATOR_OUTPUTS,
        folder / "graph.onnx", images=tensors(held.pixels[:COMPARED]),
    )  # fmt: skip
    with torch.no_grad():
        found = embeddings(net, held)
    hands = held.kind == HAND
    features = found["embedding"][hands].astype(np.float64)
    fit, rest = features[::2], features[1::2]
    mean = fit.mean(0)
    covariance = np.cov(fit.T) + 0.05 * np.eye(fit.shape[1]) * float(
        np.trace(np.cov(fit.T)) / 64 + 1e-6
    )
    precision = np.linalg.inv(covariance)
    gap = rest - mean
    distance = np.sqrt(np.einsum("ni,ij,nj->n", gap, precision, gap))
    np.savez(
        folder / "stats.npz", mean=mean.astype(np.float32), precision=precision.astype(np.float32)
    )
    guessed = found["kind"].argmax(1)
    open_ = found["physes"][:, 0] > 0
    child = held.physes == 1
    shares = {
        "kind_accuracy": guessed == held.kind,
        "hand_recall": guessed[hands] == HAND,
        "nonhand_called_hand": guessed[~hands] == HAND,
        "child_seen": open_[hands & child],
        "adult_called_child": open_[hands & ~child],
    }
    return {
        "distance": float(np.quantile(distance, 0.998) * 1.15),
        **{name: float(hits.mean()) if len(hits) else 0.0 for name, hits in shares.items()},
        **{f"scenes_{name}": float(len(hits)) for name, hits in shares.items()},
    }


def preprocessing_table(spec: Preprocessing) -> str:
    """The [preprocessing] table."""
    return (
        "[preprocessing]\n"
        f'kind = "{spec.kind}"\nrows = {spec.rows}\ncolumns = {spec.columns}\n'
        f"percentiles = [{spec.percentiles[0]}, {spec.percentiles[1]}]\n"
        f"mean = {spec.mean}\nstd = {spec.std}\norder = {json.dumps(list(ORDER))}\n"
    )


def header(
    name: str, version: str, unit: str, roles: list[str], outputs: list[str],
    *, intended_use: str = "demonstration", licence: str = "Apache-2.0",
) -> str:  # fmt: skip
    """The top of a manifest."""
    return (
        f'name = "{name}"\nversion = "{version}"\nunit = "{unit}"\n'
        f'intended_use = "{intended_use}"\nlicence = "{licence}"\nroles = {json.dumps(roles)}\n\n'
        f'[graph]\nfile = "graph.onnx"\nprecision = "fp32"\noutputs = {json.dumps(outputs)}\n\n'
    )


def training_table(data: str, metrics: dict[str, float]) -> str:
    """The [training] table; the digest is of the words that state seeds and generator."""
    lines = [f'"{k}" = {round(v, 5)}' for k, v in sorted(metrics.items())]
    digest = hashlib.sha256(data.encode()).hexdigest()
    return (
        f"\n[training]\ndata = {json.dumps(data, ensure_ascii=False)}\n"
        f'data_digest = "{digest}"\n\n[training.metrics]\n' + "\n".join(lines) + "\n"
    )


def score_manifest(
    version: str, members: list[str], hand: dict[str, Any], both: dict[str, Any],
    bands: dict[str, list[float]], cam: tuple[float, float], data: str, metrics: dict[str, float],
) -> str:  # fmt: skip
    """The manifest of the score bundle."""
    text = header("demo", version, "hand", ["svdh", "severity"], SCORE_OUTPUTS)
    text += preprocessing_table(SCORE_SPEC)
    text += f'\n[score]\nscale_max = 140.0\nmembers = {json.dumps(members)}\nrubric = "{RUBRIC}"\n'
    for name, table in (("hand", hand), ("both", both)):
        text += f"\n[score.{name}]\n" + "".join(
            f"{k} = {json.dumps(v)}\n" for k, v in table.items()
        )
    text += "\n[severity]\n"
    text += f"edges_hand = {json.dumps(list(EDGES_HAND))}\n"
    text += f"edges_both = {json.dumps(list(EDGES_BOTH))}\n"
    text += "".join(f"{k} = {json.dumps(v)}\n" for k, v in bands.items())
    text += 'reference = "generated clinic cohort (phantom)"\n'
    text += f"\n[cam]\nthreshold = {cam[0]}\nfull_scale = {cam[1]}\n"
    return text + training_table(data, metrics)


def locator_manifest(version: str, distance: float, data: str, metrics: dict[str, float]) -> str:
    """The manifest of the locator."""
    text = header("locator", version, "image", ["locator"], LOCATOR_OUTPUTS)
    text += preprocessing_table(LOCATOR_SPEC)
    text += '\n[locator]\nstatistics = "stats.npz"\n'
    text += f"centre = {THRESHOLDS.centre}\nlandmark = {THRESHOLDS.landmark}\n"
    text += f"plausibility = {THRESHOLDS.plausibility}\ndistance = {round(distance, 4)}\n"
    return text + training_table(data, metrics)


def provenance(what: str, table: dict[str, Any]) -> str:
    """One line that says what images the weights come from."""
    words = json.dumps(table, sort_keys=True).replace('"', "'")
    seen = table.get("generator", PHANTOM_VERSION)
    return f"generated radiographs {seen}; {what}; recipe {words}"


def seal(folder: Path, manifest: str, card: str) -> str:
    """Write manifest and card, then the hashes over everything."""
    (folder / "manifest.toml").write_text(manifest, encoding="utf-8")
    (folder / "card.md").write_text(card, encoding="utf-8")
    return write_sums(folder)
