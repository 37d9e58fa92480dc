"""INT8 files: what is integer, what stays FP32, what each family of runtimes needs."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ra_engine import quantise
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.gate import measure
from ra_engine.quantise import LADDER, Quantiser
from ra_engine.spec import EngineSpec
from tests.support.networks import pooled, residual

onnx = pytest.importorskip("onnx", reason="install ra-daemon[build]")
IMAGES = np.random.default_rng(5).standard_normal((12, 1, 64, 48)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual(tmp_path_factory.mktemp("graph") / "graph.onnx")


@pytest.fixture(scope="module")
def quantiser(graph: Path) -> Quantiser:
    return Quantiser(graph, IMAGES, least=12)


def operators(path: Path) -> Counter[str]:
    return Counter(n.op_type for n in onnx.load(str(path)).graph.node)


def zero_points(path: Path) -> list[Any]:
    """Those of activations: a tensor, not one a channel."""
    model = onnx.load(str(path))
    held = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    return [held[n.input[2]] for n in nodes if n.input[0] not in held]


def test_first_convolution_and_head_stay_fp32(quantiser: Quantiser, tmp_path: Path) -> None:
    kept = quantiser.write(tmp_path / "u8.onnx", "u8")
    assert set(kept) == {"stem", "density"}
    model = onnx.load(str(tmp_path / "u8.onnx"))
    made = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        if node.op_type == "Conv":
            quantised = made.get(node.input[1]) is not None
            assert quantised is (node.name not in kept), node.name


def test_a_longer_tail_keeps_what_is_near_the_head(quantiser: Quantiser, tmp_path: Path) -> None:
    kept = [set(quantiser.write(tmp_path / f"{t}.onnx", "u8", [(0, t)])) for t in range(4)]
    assert kept[1] - kept[0] == {"second", "shortcut"}, "each is one convolution before the head"
    assert all(a <= b for a, b in itertools.pairwise(kept))
    assert kept[-1] == {"stem", "first", "second", "shortcut", "density"}


def test_a_longer_front_keeps_what_is_near_the_image(quantiser: Quantiser, tmp_path: Path) -> None:
    kept = [set(quantiser.write(tmp_path / f"{t}.onnx", "u8", [(t, 0)])) for t in range(3)]
    assert kept[1] - kept[0] == {"first", "shortcut"}, "each is one convolution behind the stem"
    assert kept[2] == {"stem", "first", "second", "shortcut", "density"}


def test_the_ladder_ends_where_nothing_would_be_int8(quantiser: Quantiser) -> None:
    assert quantiser.ladder() == LADDER[:2]


def test_the_cpu_file_has_unsigned_activations_and_fuses_to_integer_kernels(
    quantiser: Quantiser, tmp_path: Path
) -> None:
    kept = quantiser.write(tmp_path / "u8.onnx", "u8")
    assert {z.dtype for z in zero_points(tmp_path / "u8.onnx")} == {np.dtype(np.uint8)}
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "u8.onnx"), options, providers=["CPUExecutionProvider"])
    run = operators(tmp_path / "run.onnx")
    assert run["QLinearConv"] == 3
    assert run["Conv"] + run["FusedConv"] == len(kept)


def test_the_runtime_pools_before_it_quantises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone it pools integers: the same numbers, many times as slow in this order."""
    import onnxruntime as ort

    file, chosen = tmp_path / "u8.onnx", tmp_path / "chosen.onnx"
    made = Quantiser(pooled(tmp_path / "graph.onnx"), IMAGES, least=12)
    assert set(made.write(file, "u8")) == {"stem", "third"}
    plain = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(chosen)
    monkeypatch.setattr(ort, "SessionOptions", lambda: options)
    found = OnnxRuntimeBackend().load(file, EngineSpec(precision="int8")).run(IMAGES)["score"]
    assert (found == plain.run(["score"], {"x": IMAGES})[0]).all()
    nodes = onnx.load(str(chosen)).graph.node
    quantised = {o for n in nodes if n.op_type == "QuantizeLinear" for o in n.output}
    assert quantised
    assert not any(quantised & set(n.input) for n in nodes if "MaxPool" in n.op_type)


def test_the_tensorrt_file_is_symmetric_and_keeps_its_biases(
    quantiser: Quantiser, tmp_path: Path
) -> None:
    quantiser.write(tmp_path / "s8.onnx", "s8")
    points = zero_points(tmp_path / "s8.onnx")
    assert points
    assert all(z.dtype == np.int8 and not z.any() for z in points)
    model = onnx.load(str(tmp_path / "s8.onnx"))
    held = {w.name: w.data_type for w in model.graph.initializer}
    quantised = [n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"]
    assert onnx.TensorProto.INT32 not in [held.get(q) for q in quantised], "no INT32 bias"


@pytest.mark.parametrize("form", ["u8", "s8"])
def test_both_files_say_nearly_what_the_reference_says(
    quantiser: Quantiser, graph: Path, tmp_path: Path, form: str
) -> None:
    quantiser.write(tmp_path / "q.onnx", form)  # type: ignore[arg-type]
    runtime = OnnxRuntimeBackend()
    truth = runtime.load(graph, EngineSpec()).run(IMAGES)
    found = runtime.load(tmp_path / "q.onnx", EngineSpec(precision="int8")).run(IMAGES)
    report = measure(found, truth, "int8")
    assert 0 < report.worst < 0.05 * float(np.ptp(truth["score"]))
    assert report.cam is not None
    assert report.cam > 0.98


def test_the_same_images_make_the_same_file(
    quantiser: Quantiser, graph: Path, tmp_path: Path
) -> None:
    quantiser.write(tmp_path / "a.onnx", "u8")
    Quantiser(graph, IMAGES, least=12).write(tmp_path / "b.onnx", "u8")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_it_prints_nothing(
    quantiser: Quantiser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantiser.write(tmp_path / "a.onnx", "u8")
    assert capsys.readouterr().out == ""


def test_fewer_than_300_images_are_refused(graph: Path) -> None:
    with pytest.raises(BackendError, match="300 images or more, not 12"):
        Quantiser(graph, IMAGES)


def test_without_onnx_the_extra_is_named(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(quantise.importlib, "import_module", absent)
    with pytest.raises(RuntimeMissingError, match="needs the package onnx") as caught:
        Quantiser(graph, IMAGES, least=12)
    assert "ra-daemon[build]" in caught.value.hint


@pytest.mark.parametrize("shape", [(1, 8, 112, 112), (1, 8, 128, 96), (1, 16, 90, 88)])
def test_thinned_tensors_show_every_column(shape: tuple[int, ...]) -> None:
    columns = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), shape)
    thinned = quantise._thinned(np.ascontiguousarray(columns))
    assert len(thinned) < columns.size / 6
    assert np.array_equal(np.unique(thinned), np.arange(shape[-1]))


def test_a_file_does_not_depend_on_those_written_before(
    quantiser: Quantiser, graph: Path, tmp_path: Path
) -> None:
    for level in ((0, 0), (1, 0), (0, 1)):
        quantiser.write(tmp_path / "a.onnx", "u8", [level])
    Quantiser(graph, IMAGES, least=12).write(tmp_path / "b.onnx", "u8", [(0, 1)])
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
