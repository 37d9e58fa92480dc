"""Weights outside of the graph's own file are seen wherever they hang."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.bundle import load_bundle, write_sums
from ra_engine.errors import BundleError
from ra_engine.external import has_external_data
from tests.support.bundles import GRAPHS, score_bundle

onnx = pytest.importorskip("onnx", reason="pip install -e .[build]")


def outside(place: str) -> object:
    """A model with one tensor that names another file: as a weight, in a node, in a branch."""
    from onnx import TensorProto, helper, numpy_helper

    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [result])
    nodes, weights = {
        "weight": ([helper.make_node("Identity", ["w"], ["y"])], [tensor]),
        "node": ([constant], []),
        "branch": (
            [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
            [],
        ),
    }[place]
    return helper.make_model(helper.make_graph(nodes, "g", [], [result], weights))


@pytest.mark.parametrize("place", ["weight", "node", "branch"])
def test_external_data_is_seen_and_refused(tmp_path: Path, place: str) -> None:
    folder = score_bundle(tmp_path / "b")
    onnx.save(outside(place), folder / "graph.onnx")
    assert has_external_data(folder / "graph.onnx")
    np.ones(4, np.float32).tofile(folder / "weights.bin")
    write_sums(folder)  # listed or not: the graph's digest does not cover it
    with pytest.raises(BundleError, match="keeps weights in other files"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["score.onnx", "locator.onnx"])
def test_a_graph_in_one_file_passes(name: str) -> None:
    assert not has_external_data(GRAPHS / name)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 40])
def test_what_is_no_graph_is_left_to_the_runtime(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    assert not has_external_data(tmp_path / "x.onnx")
