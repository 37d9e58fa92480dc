"""The GPU benchmark's code, run on a CPU with small nets: every step, no figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.rtx import builder

pytest.importorskip("torch", reason="install ra-daemon[train]")


@pytest.mark.timeout(600)
def test_the_whole_benchmark_runs_without_a_gpu(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.perf.gpu", "--device", "cpu", "--tiny", "--repeats", "3",
         "--json", str(report)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(report.read_text())
    rows = {(r["engine"], r["precision"], r["batch"]): r for r in found["rows"]}
    engines = {("torch eager", "fp32"), ("torch eager", "bf16"), ("AOTInductor", "bf16"),
               ("torch.compile", "bf16")}  # fmt: skip
    assert rows.keys() == {(*e, batch) for e in engines for batch in (1, 2)}
    assert not [r["note"] for r in rows.values() if r["note"]]
    for (_, precision, _), row in rows.items():
        assert (row["drift"] == 0) == (precision == "fp32")
        assert row["drift"] < 0.02
    assert found["node"][0].startswith("aoti, graphs/score.onnx, fp32: built in ")
    assert "no figure counts" in done.stdout
    assert "these figures say nothing about speed" in done.stdout
    assert "of the target" not in done.stdout


def test_without_time_every_step_says_so_and_the_bench_ends_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.perf.gpu import main

    report = tmp_path / "report.json"
    assert main(["--device", "cpu", "--tiny", "--minutes", "0", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert {r["note"] for r in found["rows"]} == {"not run: the time is up"}
    assert found["node"] == ["aoti: not run: the time is up"]
    assert not [line for line in found["rtx"] if "built in" in line]
    assert "not run: the time is up" in capsys.readouterr().out


def test_builds_of_tensorrt_rtx_stop_when_the_time_is_up(tmp_path: Path) -> None:
    from tests.perf.gpu_nets import TINY
    from tests.perf.gpu_rtx import attempt

    builder()
    times = iter([100.0, 100.0])  # before the export, before the first build
    first, built, *others = attempt(tmp_path, TINY, index=None, left=lambda: next(times, 0.0))
    assert first.endswith("imported")
    assert "default targets, FP32: built in" in built
    assert [line.partition(": ")[2] for line in others] == ["not run: the time is up"] * 5


def test_the_ensemble_has_distinct_members_and_folding_changes_nothing() -> None:
    import torch

    from tests.perf.gpu_nets import TINY, ensemble, folded

    plain, fused = ensemble(TINY).eval(), folded(ensemble(TINY))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        for a, b in zip(plain(x), fused(x), strict=True):
            assert torch.allclose(a, b, atol=1e-5)
        members = plain(x)[1]
    assert (members[:, 0] != members[:, 1]).all()


def test_without_a_gpu_it_says_how_to_try_the_code() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = subprocess.run(
        [sys.executable, "-m", "tests.perf.gpu"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--device cpu --tiny" in done.stderr
