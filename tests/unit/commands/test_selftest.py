"""models build --self-test: every backend of the machine is a row; the table goes to stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ra_daemon.cli import main
from ra_daemon.commands import build
from ra_engine import registry
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT, TENSORRT_RTX
from ra_engine.samples import Samples
from tests.support.bundles import score_bundle
from tests.support.trt import FakeCuda, FakeTrt


class OnlyFp32(TrtBackend):
    """The small graph of the tests has no convolution, so no other precision."""

    forms = {"fp32": "master"}  # noqa: RUF012


@pytest.fixture
def small(config: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with the bundle ``small`` and three backends, one without a driver."""
    score_bundle(config.root / "models" / "small")
    good, bad = FakeTrt(), FakeTrt(FakeCuda(fail={"gpu": "cudaErrorInsufficientDriver"}))
    known = {
        "onnxruntime": OnnxRuntimeBackend(),
        "tensorrt": OnlyFp32(TENSORRT, api=good, cuda=good.cuda),
        "tensorrt-rtx": TrtBackend(TENSORRT_RTX, api=bad, cuda=bad.cuda),
    }

    def load(names: Sequence[str] = ()) -> tuple[dict[str, Any], list[Any]]:
        return {k: v for k, v in known.items() if not names or k in names}, []

    def few(*_: object, **__: object) -> Samples:
        rows = np.random.default_rng(0).random((2, 1, 128, 96), np.float32)
        return Samples(gate=rows)

    monkeypatch.setattr(registry, "load_backends", load)
    monkeypatch.setattr(build, "_samples", few)
    return config.root


def run(node: Path, *options: str) -> Any:
    return CliRunner().invoke(
        main, ["models", "build", "small", "--self-test", "--config", str(node), *options]
    )


def test_every_backend_is_a_row_and_an_absent_driver_says_so_once(node: Path, small: Path) -> None:
    done = run(node)
    assert done.exit_code == 1, done.output  # not everything can be had here
    rows = [line for line in done.stdout.splitlines() if line.startswith("| small |")]
    assert len([r for r in rows if "| tensorrt | fp32 | passed" in r]) == 1
    refused = [r for r in rows if "| tensorrt-rtx |" in r]
    assert len(refused) == 1
    assert "backend.driver" in refused[0]
    assert "- tensorrt: standing never run by us, " in done.stdout
    assert str(small) not in done.stdout


def test_one_backend_alone_passes(node: Path, small: Path) -> None:
    done = run(node, "--backend", "tensorrt", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["gate"]["passed"]
    assert row["rates"].keys() == {"1", "8", "32"}


def test_one_precision_of_a_backend(node: Path, small: Path) -> None:
    done = run(node, "--backend", "onnxruntime", "--precision", "fp32")
    assert done.exit_code == 0, done.output  # the reference is what others are held against
    assert "| small |" not in done.stdout
