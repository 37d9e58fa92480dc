"""The shipped graphs keep the promises that scorers rely on; export keeps the network's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle
from ra_engine.spec import EngineSpec
from tests.support.paths import REPOSITORY

BUNDLES = REPOSITORY / "plugins" / "ra_plugins" / "bundles"
OUTPUTS = ["members", "score", "class_logits", "cam"]


def _hands(n: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 1, (n, 1, 384, 288)).astype(np.float32)


def test_map_sums_to_the_score_up_to_a_constant() -> None:
    session = OnnxRuntimeBackend().load(BUNDLES / "demo" / "graph.onnx", EngineSpec(threads=1))
    out = session.run(_hands(4))
    rest = out["score"] - out["cam"].sum((1, 2))
    assert np.ptp(rest) < 1e-3


def test_batch_gives_what_single_images_give() -> None:
    session = OnnxRuntimeBackend().load(BUNDLES / "demo" / "graph.onnx", EngineSpec(threads=1))
    hands = _hands(3)
    together = session.run(hands)["score"]
    alone = np.concatenate([session.run(hands[i : i + 1])["score"] for i in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_cumulative_logits_never_rise() -> None:
    session = OnnxRuntimeBackend().load(BUNDLES / "demo" / "graph.onnx", EngineSpec(threads=1))
    logits = session.run(_hands(4))["class_logits"]
    assert logits.shape == (4, 6)
    assert np.all(np.diff(logits, axis=1) <= 1e-4)


def test_bundles_are_small_demonstrations() -> None:
    for name in ("demo", "locator"):
        bundle = load_bundle(BUNDLES / name)
        assert bundle.manifest.intended_use == "demonstration"
        assert "not for clinical use" in (bundle.path / "card.md").read_text(encoding="utf-8")
    assert sum(f.stat().st_size for f in BUNDLES.rglob("*") if f.is_file()) < 34_000_000


def test_the_demonstration_is_a_zoo_with_a_band_model() -> None:
    bundle = load_bundle(BUNDLES / "demo")
    manifest = bundle.manifest
    assert manifest.score is not None
    members = manifest.score.members
    assert len(members) >= 3
    assert len(set(members)) >= 2, "a member's name is its family"
    assert {"svdh", "severity"} <= set(manifest.roles)
    assert manifest.severity is not None
    out = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1)).run(_hands(2))
    assert set(out) == set(OUTPUTS) == set(manifest.graph.outputs)
    assert out["members"].shape == (2, len(members))
    assert out["class_logits"].shape == (2, len(manifest.severity.edges_hand))
    assert np.ptp(out["members"], axis=1).min() > 0, "members that say the same are one member"


@pytest.mark.parametrize("trunk", ["residual", "plain", "dense", "mobile"])
def test_export_keeps_the_numbers(trunk: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is absent: pip install ra-daemon[train]")
    pytest.importorskip("onnxscript", reason="onnxscript is absent: pip install ra-daemon[train]")
    from ra_training.errors import TrainingError
    from ra_training.graphs import ScoreGraph, agree, export
    from ra_training.nets import DensityNet

    class _Other(torch.nn.Module):  # type: ignore[misc]
        """One of the outputs is off by three in ten thousand at its greatest value."""

        def __init__(self, module: torch.nn.Module, output: int) -> None:
            super().__init__()
            self.module, self.output = module, output

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            out = list(self.module(x))
            out[self.output] = out[self.output] * 1.0003
            return out

    torch.manual_seed(1)
    module = ScoreGraph([DensityNet(trunk, 7), DensityNet("plain", 7)], [0.6, 0.4], 0.0).eval()
    hands = torch.from_numpy(_hands(3))
    export(module, (384, 288), OUTPUTS, tmp_path / "graph.onnx")
    agree(module, OUTPUTS, tmp_path / "graph.onnx", hands)
    for i, name in enumerate(OUTPUTS):
        with pytest.raises(TrainingError, match=f"differs .* in {name}") as refused:
            agree(_Other(module, i), OUTPUTS, tmp_path / "graph.onnx", hands)
        assert refused.value.code == "export-differs"


@pytest.mark.parametrize("name", ["demo", "locator"])
def test_a_shipped_graph_names_no_folder_of_the_machine_that_wrote_it(name: str) -> None:
    data = (BUNDLES / name / "graph.onnx").read_bytes()
    assert b"/site-packages/" not in data
    assert b"stack_trace" not in data
