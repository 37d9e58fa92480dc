"""The INT8 file that the bench times is one that passed its gate, or there is none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="install ra-daemon[build]")

from tests.perf import engine_files

FIGURES = "score within 0.448 <= 1"


def builds(monkeypatch: pytest.MonkeyPatch, store: Path, *, code: int, row: dict[str, Any]) -> None:
    """``models build`` that keeps an engine and ends as stated."""

    def run(arguments: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        assert {"models", "build", "demo", "onnxruntime", "int8"} <= {*arguments}
        (store / "engines").mkdir()
        (store / "engines" / "abc.onnx").write_bytes(b"gated")
        return subprocess.CompletedProcess(arguments, code, json.dumps([row]), "")

    monkeypatch.setattr(subprocess, "run", run)


def test_the_file_of_the_cache_is_timed_with_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds(monkeypatch, tmp_path / "s", code=0, row={"key": "abc", "gate": FIGURES})
    engine_files.gated(tmp_path / "s", tmp_path / "demo.onnx")
    assert (tmp_path / "demo.onnx").read_bytes() == b"gated"
    assert (tmp_path / "demo.txt").read_text() == FIGURES


def test_a_file_that_failed_its_gate_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = {"key": "", "gate": "members within 2 <= 1", "state": "failed its gate"}
    builds(monkeypatch, tmp_path / "s", code=1, row=failed)
    with pytest.raises(RuntimeError, match="members within 2"):
        engine_files.gated(tmp_path / "s", tmp_path / "demo.onnx")
    assert not (tmp_path / "demo.onnx").exists()
