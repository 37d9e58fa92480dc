"""Graphs made from graphs for ``tests.perf.engines``; needs onnx."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ra_engine.quantise import Quantiser


def without_cam(source: Path, target: Path) -> None:
    """The same graph with score and members only."""
    whole = onnx.utils.Extractor(onnx.load(str(source)))
    onnx.save(whole.extract_model(["x"], ["members", "score"]), str(target))


def integer(source: Path, target: Path, shape: tuple[int, int], count: int) -> None:
    """INT8 for its speed, of a network that no gate can judge: ranges are of noise."""
    noise = np.random.default_rng(3).standard_normal((count, 1, *shape)).astype(np.float32)
    Quantiser(source, noise, least=count).write(target, "u8", [(0, 1)])


def gated(store: Path, target: Path) -> None:
    """The INT8 file of the demonstration bundle that a node runs: ``ra-daemon models build`` makes
    it, calibrated on the stored draws and gated, in the store's cache; it is copied from there, and
    what the gate said of it is written beside it.

    Raises:
        RuntimeError: it was not built, or failed its gate.
    """
    store.mkdir(parents=True, exist_ok=True)
    config = store / "ra-daemon.toml"
    config.write_text(f"[store]\nroot = {json.dumps(str(store))}\n")
    config.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-m", "ra_daemon.cli", "models", "build", "demo", "--config", str(config),
         "--backend", "onnxruntime", "--precision", "int8", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    row: dict[str, Any] = json.loads(done.stdout or "[{}]")[0]
    if done.returncode or not row.get("key"):
        raise RuntimeError(row.get("gate") or row.get("state") or done.stderr.strip()[-300:])
    shutil.copy(store / "engines" / f"{row['key']}.onnx", target)
    target.with_suffix(".txt").write_text(row["gate"])
