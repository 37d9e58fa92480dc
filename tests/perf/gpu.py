"""Everything we want from a GPU in one call, under ten minutes, one table.

    python -m tests.perf.gpu                     # the ensemble at 512 on cuda:0
    python -m tests.perf.gpu --device cpu --tiny # the same code on any machine; no figure counts

Needs torch and torchvision; onnx and the wheels of TensorRT-RTX for the rows that use them. Every
row is named for the engine that ran. A step that fails or no longer fits into the time says so in
the table. Method: random inputs that lie on the device and change from run to run, five warm-up
runs, then the median of timed runs (CUDA events); the figure holds the whole forward pass with the
heatmap, not decoding or preparing. Scores are compared with FP32 eager, TF32 off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.perf.gpu_nets import FULL, TINY, Workload, ensemble, folded, low
from tests.perf.gpu_product import product
from tests.perf.gpu_rtx import attempt

TARGET = 2000
"""Images a second: half of the binding (memory) roof of an H200-class device in BF16."""

COMPILE = 120
"""Seconds that torch.compile or AOTInductor may take for the ensemble."""

Run = Callable[[Tensor], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; ``note`` says why where there are no figures."""

    engine: str
    precision: str
    batch: int
    rate: float = 0.0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    drift: float = 0.0
    prepare_s: float = 0.0
    note: str = ""


class Bench:
    """Times engines on one device until the time is up."""

    def __init__(self, work: Workload, device: str, minutes: float, repeats: int) -> None:
        self.work, self.device, self.repeats = work, torch.device(device), repeats
        self.ends = time.monotonic() + 60 * minutes
        self.rows: list[Row] = []
        self.reference: dict[int, Tensor] = {}

    def inputs(self, batch: int) -> list[Tensor]:
        """Four different batches on the device."""
        made = torch.Generator().manual_seed(batch)
        shape = (batch, 1, self.work.size, self.work.size)
        return [torch.randn(shape, generator=made).to(self.device) for _ in range(4)]

    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def measure(
        self, engine: str, precision: str, make: Callable[[int], Run], *, needs: float = 20
    ) -> None:
        """One row for each batch; ``make`` prepares the engine for a batch."""
        for batch in self.work.batches:
            if self.left() < needs:
                self._note(engine, precision, batch, "not run: the time is up")
                continue
            try:
                started = time.perf_counter()
                with torch.no_grad():
                    run = make(batch)
                    row = self._time(engine, precision, batch, run, started)
                self.rows.append(row)
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
                self._note(engine, precision, batch, f"failed: {said}")
            print(line(self.rows[-1]), flush=True)

    def _time(self, engine: str, precision: str, batch: int, run: Run, started: float) -> Row:
        inputs = self.inputs(batch)
        score = run(inputs[0])[0].float().cpu().clone()
        for k in range(5):
            run(inputs[k % 4])
        self.sync()
        prepared = time.perf_counter() - started
        times = sorted(self._once(run, inputs[k % 4]) for k in range(self.repeats))
        median = times[len(times) // 2]
        truth = self.reference.setdefault(batch, score)
        return Row(
            engine=engine,
            precision=precision,
            batch=batch,
            rate=1000 * batch / median,
            median_ms=median,
            p99_ms=times[min(len(times) - 1, int(0.99 * len(times)))],
            drift=float((score - truth).norm() / truth.norm()),
            prepare_s=prepared,
        )

    def _once(self, run: Run, x: Tensor) -> float:
        """Milliseconds of one run."""
        if self.device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run(x)
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end))
        started = time.perf_counter()
        run(x)
        return 1000 * (time.perf_counter() - started)

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _note(self, engine: str, precision: str, batch: int, note: str) -> None:
        self.rows.append(Row(engine=engine, precision=precision, batch=batch, note=note))


def eager(bench: Bench, dtype: torch.dtype) -> Callable[[int], Run]:
    """torchvision's modules with BatchNorm, as people run them; channels last."""
    net = low(ensemble(bench.work), dtype).to(bench.device)
    return lambda _: net


def compiled(bench: Bench) -> Callable[[int], Run]:
    """torch.compile, BatchNorm folded; CUDA graphs on a GPU (mode ``reduce-overhead``)."""
    net = low(folded(ensemble(bench.work)), torch.bfloat16).to(bench.device)
    mode = "reduce-overhead" if bench.device.type == "cuda" else "default"

    def make(_: int) -> Run:
        torch._dynamo.reset()
        return torch.compile(net, mode=mode, dynamic=False)

    return make


def aoti(bench: Bench, folder: Path) -> Callable[[int], Run]:
    """One AOTInductor package with a free batch; replayed as a CUDA graph for each batch."""
    net = low(folded(ensemble(bench.work)), torch.bfloat16).to(bench.device)
    loaded: list[Any] = []

    def make(batch: int) -> Run:
        if not loaded:
            free = torch.export.Dim("b", min=1, max=max(bench.work.batches))
            program = torch.export.export(
                net, (bench.inputs(2)[0],), dynamic_shapes=({0: free},), strict=False
            )
            path = torch._inductor.aoti_compile_and_package(
                program, package_path=str(folder / "ensemble.pt2")
            )
            loaded.append(torch._inductor.aoti_load_package(path))
        return graphed(loaded[0], bench.inputs(batch)[0], bench)

    return make


def graphed(run: Run, example: Tensor, bench: Bench) -> Run:
    """The run as one CUDA graph with a fixed input; on a CPU the run itself."""
    if bench.device.type != "cuda":
        return run
    held = example.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(held)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run(held)

    def replay(x: Tensor) -> Any:
        held.copy_(x)
        graph.replay()
        return out

    return replay


def line(row: Row) -> str:
    """A row of the table."""
    if row.note:
        return f"| {row.engine} | {row.precision} | {row.batch} | {row.note} | | | | | |"
    cells = (
        row.engine, row.precision, str(row.batch), f"{row.rate:.1f}", f"{row.rate / TARGET:.1%}",
        f"{row.median_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.drift:.1e}", f"{row.prepare_s:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| engine | precision | batch | images/s | of 2,000 "
    "| median ms | p99 ms | drift | prepare s |\n"
    "| --- | --- | --: | --: | --: | --: | --: | --: | --: |"
)


def where(device: torch.device) -> str:
    """What it ran on, in one line."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU: no figure counts"
    return f"{name}; torch {torch.__version__}; Python {sys.version.split()[0]}"


def verdict(bench: Bench) -> str:
    """The fraction of the target that was reached, by which engine."""
    if bench.device.type != "cuda" or bench.work is not FULL:
        return "\nNot run on a GPU with the full ensemble: these figures say nothing about speed."
    done = [r for r in bench.rows if not r.note]
    if not done:
        return "\nNo engine ran."
    best = max(done, key=lambda r: r.rate)
    return (
        f"\nBest: {best.engine} {best.precision}, batch {best.batch}: {best.rate:.1f} images/s, "
        f"{best.rate / TARGET:.1%} of the target of {TARGET} images/s."
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true", help="small nets, for a test of this code")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("No GPU: run with --device cpu --tiny to exercise the code.", file=sys.stderr)
        return 1
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    bench = Bench(TINY if chosen.tiny else FULL, chosen.device, chosen.minutes, chosen.repeats)
    print(where(bench.device), f"members {', '.join(bench.work.members)}, {bench.work.size}", HEAD,
          sep="\n", flush=True)  # fmt: skip
    bench.measure("torch eager", "fp32", eager(bench, torch.float32))
    bench.measure("torch eager", "bf16", eager(bench, torch.bfloat16))
    with tempfile.TemporaryDirectory() as folder:
        bench.measure("AOTInductor", "bf16", aoti(bench, Path(folder)), needs=COMPILE)
        shipped = product(
            Path(folder), chosen.device, bench.work.batches, tiny=chosen.tiny, left=bench.left
        )
        tried = attempt(
            Path(folder), bench.work, index=bench.device.index, left=lambda: bench.left() - COMPILE
        )
        bench.measure("torch.compile", "bf16", compiled(bench), needs=COMPILE)
    print("", "As a node runs it:", *(f"- {said}" for said in shipped), sep="\n")
    print("", "TensorRT-RTX (not TensorRT):", *(f"- {said}" for said in tried), sep="\n")
    print(verdict(bench))
    if chosen.json:
        rows = [asdict(r) for r in bench.rows]
        chosen.json.write_text(
            json.dumps({"where": where(bench.device), "rows": rows, "rtx": tried, "node": shipped})
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
