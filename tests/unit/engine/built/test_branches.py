"""Networks of an ensemble within one graph: told apart, moved, and quantised each as it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ra_engine import int8
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.branches import branches, shift
from ra_engine.gate import TOLERANCES, Tolerance
from ra_engine.quantise import Quantiser
from ra_engine.spec import EngineSpec
from tests.support.networks import pair, residual

onnx = pytest.importorskip("onnx", reason="install ra-daemon[build]")

IMAGES = np.random.default_rng(9).standard_normal((12, 1, 64, 48)).astype(np.float32)


def loaded(path: Path) -> Any:
    return onnx.load(str(path))


def run(path: Path, precision: Any = "fp32") -> Any:
    return OnnxRuntimeBackend().load(path, EngineSpec(precision=precision)).run(IMAGES)


def convolutions(found: Any) -> list[list[str]]:
    return [sorted(n for n in b.nodes if n.startswith(("stem", "c"))) for b in found]


def test_each_member_is_a_branch(tmp_path: Path) -> None:
    found = branches(loaded(pair(tmp_path / "g.onnx")))
    assert [b.member for b in found] == [0, 1]
    assert [b.linear for b in found] == [True, True]
    assert convolutions(found) == [
        ["c0.0", "c0.1", "c0.2", "stem0"], ["c1.0", "c1.1", "c1.2", "stem1"],
    ]  # fmt: skip


def test_a_clipped_member_is_not_linear(tmp_path: Path) -> None:
    found = branches(loaded(pair(tmp_path / "g.onnx", clipped=True)))
    assert [b.linear for b in found] == [False, False]


def test_what_no_member_is_made_of_is_a_branch_of_its_own(tmp_path: Path) -> None:
    found = branches(loaded(pair(tmp_path / "g.onnx", classes=True)))
    assert [b.member for b in found] == [0, 1, None]
    assert convolutions(found)[2] == ["c2.0", "class_logits", "stem2"]


@pytest.mark.parametrize("make", [residual, lambda path: pair(path, shared=True)])
def test_what_cannot_be_told_apart_is_one_branch(make: Any, tmp_path: Path) -> None:
    model = loaded(make(tmp_path / "g.onnx"))
    (found,) = branches(model)
    assert found.member is None
    assert found.nodes == {n.name for n in model.graph.node}


def test_the_score_moves_with_the_members(tmp_path: Path) -> None:
    before = run(pair(tmp_path / "g.onnx"))
    model = loaded(tmp_path / "g.onnx")
    shift(model, [2.0, -1.0])
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "moved.onnx"))
    after = run(tmp_path / "moved.onnx")
    assert after["members"] - before["members"] == pytest.approx(
        np.tile([2.0, -1.0], (12, 1)), abs=1e-5
    )
    assert after["score"] - before["score"] == pytest.approx(np.full(12, -0.25), abs=1e-5)


def agreed(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mean: float) -> Any:
    """Names of what stays FP32 where members may depart by ``mean``, and what INT8 says then."""
    tight = Tolerance(worst=9.0, mean=mean, logit=9.0, cam=-1.0, place=9.0)
    monkeypatch.setitem(TOLERANCES, "int8", tight)
    seen = int8.Seen(images=IMAGES, truth=run(graph), evidence=0.0)
    made = Quantiser(graph, IMAGES, least=12)
    target = tmp_path / "int8.onnx"
    kept, refused = int8.agreeing(made, seen, target, "u8", told=None)
    assert refused is None
    return set(kept), run(target, "int8")


def test_only_the_branch_that_suffers_stays_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = pair(tmp_path / "g.onnx", sizes=(1, 4000))
    kept, found = agreed(graph, tmp_path, monkeypatch, 0.05)
    assert {n for n in kept if n.endswith(("0.1", "0.2"))} == set()
    assert kept >= {"stem1", "c1.0", "c1.1", "c1.2"}
    truth = run(graph)
    assert np.abs(found["members"] - truth["members"]).mean(0).max() <= 0.05
    assert np.abs(found["score"] - truth["score"]).mean() <= 0.05


def test_a_linear_member_says_the_mean_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = pair(tmp_path / "g.onnx", sizes=(100, 100))
    _, found = agreed(graph, tmp_path, monkeypatch, 9.0)
    truth = run(graph)
    apart = found["members"] - truth["members"]
    assert np.abs(apart).mean() > 1e-2, "nothing was quantised"
    assert apart.mean(0) == pytest.approx([0.0, 0.0], abs=1e-3)
    clipped = pair(tmp_path / "c.onnx", clipped=True, sizes=(100, 100))
    _, unmoved = agreed(clipped, tmp_path, monkeypatch, 9.0)
    assert np.abs((unmoved["members"] - run(clipped)["members"]).mean(0)).max() > 1e-2


class Odd(int8.Seen):
    """Calibration images of which some do not agree by any file: image, member, by how much."""

    odd: tuple[tuple[int, int, float], ...] = ()

    def said(self, file: Path) -> Any:
        found = {name: rows.copy() for name, rows in super().said(file).items()}
        for image, member, apart in self.odd:
            found["members"][image, member] += apart
        return found


@pytest.mark.parametrize(
    ("odd", "agrees"),
    [
        (((0, 1, 50.0),), True),
        (((0, 0, 50.0), (0, 1, -50.0)), True),
        (((0, 1, 50.0), (1, 1, 50.0)), False),
        (((0, 0, 50.0), (1, 1, 50.0)), False),
        (((0, 1, float("nan")),), False),
    ],
)
def test_one_odd_image_of_many_keeps_no_network_in_fp32(
    odd: tuple[tuple[int, int, float], ...],
    agrees: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = pair(tmp_path / "g.onnx", sizes=(100, 100))
    wide = Tolerance(worst=9.0, mean=9.0, logit=9.0, cam=-1.0, place=9.0)
    monkeypatch.setitem(TOLERANCES, "int8", wide)
    monkeypatch.setattr(Odd, "odd", odd)
    images = np.tile(IMAGES, (22, 1, 1, 1))[:260]
    seen = Odd.by(OnnxRuntimeBackend().load(graph, EngineSpec()), images, 0.0)
    made = Quantiser(graph, IMAGES, least=12)
    kept, _ = int8.agreeing(made, seen, tmp_path / "int8.onnx", "u8", told=None)
    assert (len(kept) < 4) == agrees


def test_a_graph_of_which_nothing_may_be_int8_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = pair(tmp_path / "g.onnx", sizes=(4000, 4000))
    none = Tolerance(worst=1e-6, mean=1e-6, logit=1e-6, cam=1 - 1e-9, place=1e-6)
    monkeypatch.setitem(TOLERANCES, "int8", none)
    seen = int8.Seen(images=IMAGES, truth=run(graph), evidence=0.0)
    made = Quantiser(graph, IMAGES, least=12)
    kept, refused = int8.agreeing(made, seen, tmp_path / "int8.onnx", "u8", told=None)
    assert refused is not None
    assert not refused.passed
    assert len(kept) < 8
