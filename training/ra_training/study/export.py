"""From a finished study to a bundle: the stack of one seed, calibrated, described and sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.prepare import Preprocessing
from ra_engine.spec import EngineSpec
from ra_training import assemble, calibrate
from ra_training.data.prepared import Prepared
from ra_training.ensemble.ordinal import median_class
from ra_training.errors import TrainingError
from ra_training.graphs import PARITY
from ra_training.metrics import agreement
from ra_training.metrics.bootstrap import bootstrap
from ra_training.metrics.classes import quadratic_kappa
from ra_training.phantom import PHANTOM_VERSION
from ra_training.study import cards
from ra_training.study.carried import Carried, carry
from ra_training.study.config import Study
from ra_training.study.manifest import score_tables
from ra_training.study.results import Results, collect
from ra_training.study.sets import Sets
from ra_training.study.stacks import stacked
from ra_training.study.yardstick import yardstick
from ra_training.zoo import member as members
from ra_training.zoo.augment import plain
from ra_training.zoo.cam import Method
from ra_training.zoo.export import OUTPUTS, export_graph

Array = NDArray[np.float64]
LOOKED_AT = 200
"""Calibration images whose maps give the colour scale."""
COMPARED = 16
"""Calibration images on which the graph is compared with its networks."""


def export(
    study: Study, sets: Sets, root: Path, folder: Path, *, name: str, version: str,
    intended_use: str = "", licence: str = "", cam: Method = "hirescam",
) -> Path:  # fmt: skip
    """Write the bundle of the first seed's stack to ``folder`` / ``name``.

    Args:
        root: the study's output; intended_use: "demonstration" or "research"; generated images
            allow the former only. licence: of weights from real images, whose data may bind it.
        cam: what the heatmap is.

    Raises:
        TrainingError: runs are left, images of a kind are too few to calibrate, the exported graph
            does not say what the networks say, or the intended use does not fit the data.
    """
    use = _use(study, intended_use)
    results = collect(study, sets, root)
    carried = carry(study, results, stacked(results), root)
    tables = score_tables(study, sets, results, carried)
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    spec = _spec(study)
    graph = _graph(carried, spec, sets, target, cam)
    scale = calibrate.heat_scale(*_peaks(graph, sets.calibrate))
    text = assemble.header(
        name, version, study.data.unit, ["svdh", *(["severity"] if carried.classes else [])],
        [o for o in OUTPUTS if carried.classes or o != "class_logits"], intended_use=use,
        licence=licence or ("Apache-2.0" if study.data.kind == "phantom" else "not stated"),
    )  # fmt: skip
    text += assemble.preprocessing_table(spec)
    text += tables
    text += f"\n[cam]\nthreshold = {scale[0]}\nfull_scale = {scale[1]}\n"
    figures = _figures(results, carried, draws=study.bootstrap)
    data = f"{_images(study)}; study {study.name}; set digest {sets.digest()}"
    text += assemble.training_table(data, {k: v.value for k, v in figures.items()})
    card = cards.study_card(
        study, sets, name=name, version=version, use=use, data=_images(study), figures=figures,
        members=list(zip(carried.names, carried.weights, strict=True)),
        classes=carried.class_name, baseline=yardstick(study, root), cam=cam,
    )  # fmt: skip
    assemble.seal(target, text, card)
    return target


def _use(study: Study, asked: str) -> str:
    generated = study.data.kind == "phantom"
    use = asked or ("demonstration" if generated else "research")
    if use not in ("demonstration", "research") or (generated and use != "demonstration"):
        raise TrainingError(
            code="use-unfit", text=f"a bundle of {study.label} is not for {use!r} use",
            hint="weights from generated images are demonstrations; real ones begin as research",
        )  # fmt: skip
    return use


def _images(study: Study) -> str:
    if study.data.kind == "phantom":
        return f"generated radiographs {PHANTOM_VERSION}"
    return "real images of whoever ran the study"


def _spec(study: Study) -> Preprocessing:
    data = study.data
    kind = "letterbox" if data.unit == "image" else "hand_view"
    return Preprocessing(kind=kind, rows=data.rows, columns=data.columns)  # type: ignore[arg-type]


def _graph(carried: Carried, spec: Preprocessing, sets: Sets, target: Path, cam: Method) -> Path:
    """Write the graph; compare every output with the networks, the score with the study's.

    The former finds what the export did (``graphs.agree``), the latter networks, weights or images
    that are not those whose predictions the intervals were fitted on.
    """
    path = target / "graph.onnx"
    pixels = np.array(sets.calibrate.pixels[:COMPARED])
    export_graph(
        [members.load(f).in_units() for f in carried.files], carried.weights, path,
        size=(spec.rows, spec.columns), temperature=carried.temperature, cam=cam,
        classes=[members.load(f).in_units() for f in carried.classes],
        images=plain(torch.from_numpy(pixels)),
    )  # fmt: skip
    known = carried.calibrate[:COMPARED]
    gap = float(np.abs(_run(path, pixels)["score"] - known).max())
    if not gap <= PARITY * float(np.abs(known).max()):
        raise TrainingError(
            code="export-differs",
            text=f"the exported graph differs from the study's predictions by {gap:.4f}",
            hint="were runs or images changed? report this with the version of torch if not",
        )
    return path


def _run(graph: Path, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    session = OnnxRuntimeBackend().load(graph, EngineSpec(threads=torch.get_num_threads()))
    parts = [session.run(plain(torch.from_numpy(p)).numpy()) for p in _chunks(pixels)]
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def _chunks(pixels: NDArray[np.uint8], size: int = 8) -> list[NDArray[np.uint8]]:
    return [np.array(pixels[i : i + size]) for i in range(0, len(pixels), size)]


def _peaks(graph: Path, images: Prepared) -> tuple[Array, Array]:
    """Highest value of each map, and the true score."""
    shown = images.take(range(min(LOOKED_AT, len(images))))
    cam = _run(graph, shown.pixels)["cam"]
    return cam.max((1, 2)).astype(np.float64), shown.targets("score").astype(np.float64)


def _figures(results: Results, carried: Carried, *, draws: int) -> dict[str, Any]:
    """Figures of the stack on the test set, with intervals; patients resampled."""
    truth, predicted = results.test_truth, carried.test
    metrics = {
        "pcc": agreement.pcc, "rmse": agreement.rmse, "mae": agreement.mae,
        "bias": agreement.bias,
    }  # fmt: skip
    found = {
        name: bootstrap(metric, truth, predicted, results.patients, draws=draws)
        for name, metric in metrics.items()
    }
    if carried.classes:
        found["qwk"] = bootstrap(
            quadratic_kappa, results.test_classes, median_class(carried.test_logits),
            results.patients, draws=draws,
        )  # fmt: skip
    return found
