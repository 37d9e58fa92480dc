"""One engine of ``tests.perf.engines`` in a process of its own; prints its figures as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
WARM_UP = 2
Run = Callable[[Any], object]


def ours(task: dict[str, Any], threads: int) -> Run:
    """A backend of ra_engine, as the node loads it."""
    from ra_engine import registry
    from ra_engine.spec import EngineSpec

    backends, broken = registry.load_backends([task["kind"]])
    assert task["kind"] in backends, broken
    spec = EngineSpec(threads=threads, precision=task["precision"])
    session = backends[task["kind"]].load(Path(task["graph"]), spec)
    return session.run


def bare(task: dict[str, Any], threads: int) -> Run:
    """ONNX Runtime by itself, as anybody would call it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(task["graph"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})


def torch_cam(_task: dict[str, Any], threads: int) -> Run:
    """What people run today: each member in eager mode through pytorch-grad-cam, whose call holds
    the forward pass; its score is taken from there, so that nothing is computed twice."""
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from tests.perf.engine_graphs import members
    from tests.perf.engines import MEMBERS

    torch.set_num_threads(threads)
    cams = [GradCAM(model=m, target_layers=[m.backbone]) for m in members(MEMBERS, frozen=False)]
    target = [ClassifierOutputTarget(0)]

    def run(image: Any) -> object:
        x = torch.from_numpy(image)
        maps = [cam(input_tensor=x, targets=target) for cam in cams]
        return sum(float(cam.outputs[0, 0]) for cam in cams) / len(cams), sum(maps) / len(cams)

    return run


def torch_demo(_task: dict[str, Any], threads: int) -> Run:
    """The same for the members of the demonstration bundle (weights do not matter for speed)."""
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from ra_training.nets import DensityNet

    class Score(torch.nn.Module):
        def __init__(self, trunk: str) -> None:
            super().__init__()
            self.net = DensityNet(trunk, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            score, _density, _logits = self.net(x)
            return score[:, None]

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    nets = [Score(trunk).eval() for trunk in ("residual", "plain", "dense")]
    cams = [GradCAM(model=n, target_layers=[n.net.trunk]) for n in nets]
    target = [ClassifierOutputTarget(0)]

    def run(image: Any) -> object:
        x = torch.from_numpy(image)
        maps = [cam(input_tensor=x, targets=target) for cam in cams]
        return sum(float(cam.outputs[0, 0]) for cam in cams) / len(cams), sum(maps) / len(cams)

    return run


def eager(task: dict[str, Any], threads: int) -> Run:
    """The bundle's graph as a torch module in eager mode; its heatmap is a layer of the network."""
    import torch

    from ra_engine.backends.torch import TorchBackend
    from ra_engine.spec import EngineSpec

    torch.set_num_threads(threads)
    return TorchBackend().load(Path(task["graph"]), EngineSpec(threads=threads)).run


def scorer(task: dict[str, Any], threads: int) -> Run:
    """What the scorer process does with one image."""
    from ra_daemon.config import Config, Route, Scoring
    from ra_daemon.dicom import read
    from ra_daemon.steps import gate
    from ra_daemon.steps.score import Gated, Models, with_sides
    from ra_engine.types import Radiograph, ScoredImage

    models, names = Models.load(Config(scoring=Scoring(threads=threads))), Route(name="b").scorers

    def run(_image: Any) -> object:
        decoded = read.decode(Path(task["graph"]))
        assert isinstance(decoded, Radiograph)
        located = models.locate(decoded)
        assert gate.judge_pixels(decoded, located) is None
        side, source, conflict = gate.laterality(decoded, located)
        views = with_sides(located.hands, side, source, conflict=conflict)
        image = ScoredImage(instance="1", radiograph=decoded, views=views)
        gated = Gated(image=image, side=side, side_source=source, conflict=conflict)
        return models.score([gated], names, lambda _name: None)

    return run


KINDS = {
    "torch": torch_cam, "torch-demo": torch_demo, "eager": eager, "bare": bare, "scorer": scorer,
}  # fmt: skip


def main() -> None:
    """Load, warm up, measure."""
    import numpy as np

    task = json.loads(sys.argv[1])
    from tests.perf.engines import THREADS
    from tests.perf.memory import peak_mb

    if task["kind"] in ("torch", "torch-demo", "eager"):
        import torch  # noqa: F401 - its import is part of what is measured
    elif task["kind"] == "scorer":
        import ra_daemon.worker.pipeline  # noqa: F401
    else:
        import onnxruntime  # noqa: F401
    imported = time.perf_counter()
    run = KINDS.get(task["kind"], ours)(task, THREADS)
    loaded = time.perf_counter()
    rng = np.random.default_rng(1)
    image = rng.standard_normal((1, 1, *task["shape"])).astype(np.float32)
    for _ in range(WARM_UP):
        run(image)
    milliseconds = []
    for _ in range(task["images"]):
        start = time.perf_counter()
        run(image)
        milliseconds.append(1000 * (time.perf_counter() - start))
    peak = peak_mb()
    found = {"milliseconds": milliseconds, "import_s": imported - STARTED}
    print(json.dumps(found | {"start_s": loaded - imported, "peak_mb": peak}))


if __name__ == "__main__":
    main()
