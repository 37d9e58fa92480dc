"""Small bundles around the graphs of ``tests/data/make_graphs.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ra_engine.bundle import write_sums
from tests.support.paths import REPOSITORY

GRAPHS = REPOSITORY / "tests" / "data" / "graphs"

_HEAD = """\
name = "{name}"
version = "1.0"
unit = "{unit}"
intended_use = "demonstration"
licence = "Apache-2.0"
roles = [{roles}]

[training]
data = "none: arithmetic of the tests"
data_digest = "0"
metrics = {{ mae = 1.5 }}

[preprocessing]
kind = "{kind}"
rows = {rows}
columns = {columns}
percentiles = [0.5, 99.7]
mean = 0.0
std = 1.0
order = ["histogram", "area", "warp", "tone", "clip", "standardise"]
"""
SCORE = (
    _HEAD.format(
        name="small", unit="hand", roles='"svdh", "severity", "cam"', kind="hand_view",
        rows=128, columns=96,
    )
    + """
[graph]
outputs = ["members", "score", "class_logits", "cam"]

[score]
members = ["one", "two", "three"]
rubric = "test"

[score.hand]
level = 0.9
upper = [10.0, 1e9]
low = [4.0, 8.0]
high = [6.0, 12.0]
n = 100

[score.both]
level = 0.9
upper = [20.0, 1e9]
low = [5.0, 10.0]
high = [7.0, 14.0]
n = 100

[severity]
edges_hand = [0.0, 16.0]
edges_both = [0.0, 32.0]
a = [1.0, 1.0]
b = [0.5, 0.5]
c = [0.0, -3.0]
reference = "generated radiographs"

[cam]
threshold = 0.1
full_scale = 5.0
"""
)  # fmt: skip
LOCATOR = (
    _HEAD.format(
        name="finder", unit="image", roles='"locator"', kind="letterbox", rows=256, columns=256
    )
    + """
[graph]
outputs = ["heat", "offset", "kind", "physes", "embedding"]

[locator]
centre = 0.3
landmark = 0.2
plausibility = 1.0
distance = 2.0
"""
)


def score_bundle(folder: Path, *, manifest: str = SCORE) -> Path:
    """Write a signed-off score bundle; ``manifest`` may be a changed ``SCORE``."""
    return _write(folder, manifest, "score.onnx")


def locator_bundle(folder: Path, *, manifest: str = LOCATOR) -> Path:
    """Write a signed-off locator bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "stats.npz", mean=np.zeros(4), precision=np.eye(4))
    return _write(folder, manifest, "locator.onnx")


def _write(folder: Path, manifest: str, graph: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(GRAPHS / graph, folder / "graph.onnx")
    (folder / "manifest.toml").write_text(manifest)
    (folder / "card.md").write_text("# A model of the tests\n")
    write_sums(folder)
    return folder
