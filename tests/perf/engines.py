"""CPU engines side by side: ``python -m tests.perf.engines`` prints a page for ``make bench``.

Each engine runs in a process of its own (import, load, warm-up, then one image after another),
with two threads, in several rounds of alternating order, so that a change of the machine's load
meets all. Rates and ratios are of the least disturbed image. Ensemble: three ResNet-50, one
ResNet-34, one MobileNetV2, one channel, 512 x 512, with heatmap; its weights are random and differ,
or those of ``tests.perf.trained_ensemble``, where that was run before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ra_engine.cpu import cpu_features
from tests.support.paths import REPOSITORY
from tests.support.site import phantoms

FOLDER = REPOSITORY / ".bench" / "engines"
TRAINED = REPOSITORY / ".bench" / "trained"
DEMO = REPOSITORY / "plugins" / "ra_plugins" / "bundles" / "demo" / "graph.onnx"
THREADS = 2
MEMBERS = ("resnet50", "resnet50", "resnet50", "resnet34", "mobilenet_v2")
SIZE = 512
CALIBRATION = 24  # of the ensemble: its weights are random, so no gate can judge its INT8 file
DEMO_INT8 = FOLDER / "demo-gated-u8.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One row: what runs, how many images a round."""

    name: str
    kind: str
    graph: Path
    shape: tuple[int, int]
    images: int
    precision: str = "fp32"


@dataclass(slots=True, kw_only=True)
class Figures:
    """Of all rounds."""

    milliseconds: list[float] = field(default_factory=list)
    import_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def best(self) -> float:
        """The least disturbed image."""
        return min(self.milliseconds)

    @property
    def median(self) -> float:
        return float(np.median(self.milliseconds))

    @property
    def p99(self) -> float:
        return float(np.percentile(self.milliseconds, 99))


def ensemble(images: int) -> Iterator[Engine]:
    """Rows of the five-member ensemble; graphs are made where they are missing."""
    folder = _ensemble()
    shape = (SIZE, SIZE)
    yield Engine(name="torch eager + pytorch-grad-cam", kind="torch", graph=folder, shape=shape,
                 images=max(3, images // 4))  # fmt: skip
    yield Engine(name="ONNX Runtime alone, no heatmap", kind="bare", graph=folder / "nocam.onnx",
                 shape=shape, images=images)  # fmt: skip
    yield from _ours(folder / "ensemble.onnx", folder / "ensemble-u8.onnx", shape, images)


def _ensemble() -> Path:
    """The folder of the trained ensemble where there is one, of the random one else."""
    return TRAINED if (TRAINED / "ensemble.txt").is_file() else FOLDER


def _weights() -> str:
    """What the weights are, and what the INT8 file is worth."""
    told = _ensemble() / "ensemble.txt"
    if told.is_file():
        return (
            f"trained briefly.** {told.read_text()}. Torch runs the same networks with random "
            "weights, on which its time does not depend."
        )
    return (
        "random weights that\ndiffer.** Its INT8 file was calibrated on "
        f"{CALIBRATION} noise images, for its speed only: a gate on random\nweights says nothing."
    )


def demo(images: int) -> Iterator[Engine]:
    """Rows of the shipped bundle."""
    shape = (384, 288)
    yield Engine(name="torch eager + pytorch-grad-cam", kind="torch-demo", graph=DEMO,
                 shape=shape, images=max(3, images // 4))  # fmt: skip
    yield Engine(name="torch eager, heatmap in its pass", kind="eager", graph=DEMO,
                 shape=shape, images=images)  # fmt: skip
    yield Engine(name="ONNX Runtime alone, no heatmap", kind="bare",
                 graph=FOLDER / "demo-nocam.onnx", shape=shape, images=images)  # fmt: skip
    yield from _ours(DEMO, DEMO_INT8, shape, images)


def node_rows(images: int) -> Iterator[Engine]:
    """The scorer process of the node as it is shipped: decode, gate, score of a two-hand film."""
    yield Engine(name="scorer process, onnxruntime:fp32", kind="scorer", graph=FOLDER / "film.dcm",
                 shape=(1, 1), images=images)  # fmt: skip


def _ours(graph: Path, u8: Path, shape: tuple[int, int], images: int) -> Iterator[Engine]:
    row = {"shape": shape, "images": images}
    yield Engine(name="onnxruntime:fp32 (default)", kind="onnxruntime", graph=graph, **row)  # type: ignore[arg-type]
    yield Engine(name="onnxruntime:int8", kind="onnxruntime", graph=u8, precision="int8", **row)  # type: ignore[arg-type]
    yield Engine(name="openvino:fp32", kind="openvino", graph=graph, **row)  # type: ignore[arg-type]
    yield Engine(name="openvino:bf16", kind="openvino", graph=graph, precision="bf16", **row)  # type: ignore[arg-type]
    yield Engine(name="openvino:int8", kind="openvino", graph=u8, precision="int8", **row)  # type: ignore[arg-type]


def measure(engines: list[Engine], rounds: int, baseline: str) -> tuple[str, dict[str, str]]:
    """Run every engine ``rounds`` times, forwards and backwards in turn.

    Returns:
        Their table, and why the others could not run.
    """
    found = {e.name: Figures() for e in engines}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            got = None if engine.name in left_out else child(engine, left_out)
            if got is None:
                found.pop(engine.name, None)
                continue
            figures = found[engine.name]
            figures.milliseconds += got["milliseconds"]
            figures.import_s.append(got["import_s"])
            figures.start_s.append(got["start_s"])
            figures.peak_mb = max(figures.peak_mb, got["peak_mb"])
    return table(found, baseline), left_out


def child(engine: Engine, left_out: dict[str, str]) -> dict[str, Any] | None:
    """One engine in a process of its own; None where it cannot run, with the reason noted."""
    task = {
        "kind": engine.kind, "graph": str(engine.graph), "shape": engine.shape,
        "images": engine.images, "precision": engine.precision,
    }  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.perf.engine_child", json.dumps(task)],
        capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        left_out[engine.name] = last.split(": ", 1)[-1]
        return None
    got: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return got


def table(found: dict[str, Figures], baseline: str) -> str:
    """A table in Markdown, with ratios to two of its rows."""
    bare = found.get("ONNX Runtime alone, no heatmap")
    base = found.get(baseline)
    columns = ("engine", "images/s", "best ms", "p50 ms", "p99 ms", f"x {baseline}", "x ORT alone")
    columns += ("peak RSS MB", "import s", "load s")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, f in found.items():
        against = f"{base.best / f.best:.2f}" if base is not None else "-"
        alone = f"{bare.best / f.best:.2f}" if bare is not None else "-"
        cells = (
            name,
            f"{1000 / f.best:.2f}",
            f"{f.best:.1f}",
            f"{f.median:.1f}",
            f"{f.p99:.1f}",
            against,
            alone,
        )
        cells += (f"{f.peak_mb:.0f}", f"{min(f.import_s):.2f}", f"{min(f.start_s):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(images: int, rounds: int) -> str:
    """Both tables, with the method."""
    whole = prepare()
    before = os.getloadavg()[0]
    left: dict[str, str] = {}
    big, against = "Left out: it needs ra-daemon[train].", "torch eager + pytorch-grad-cam"
    if whole:
        big, left = measure(list(ensemble(images)), rounds, against)
    small, left_of_bundle = measure(list(demo(images * 8)), rounds, against)
    node, _ = measure(list(node_rows(images)), rounds, "itself")
    method = f"""{THREADS} threads, one image at a time, {rounds} rounds of {images} images
    ({images * 8} of the bundle), each engine in a process of its own; {" ".join(cpu_features())},
    Python {platform.python_version()}; load average {before:.1f} at the start and
    {os.getloadavg()[0]:.1f} at the end of {os.cpu_count()} cores. Rates and ratios are of the least
    disturbed image, p50 and p99 of all. Written by `python -m tests.perf.engines`."""
    for name, why in sorted({**left_of_bundle, **left}.items()):
        method += f" Left out: {name} ({why.rstrip('.')})."
    bundle = f"""**Demonstration bundle, 384 x 288, one hand.** Its INT8 file is the one that
    `ra-daemon models build --backend onnxruntime --precision int8` made and gated:
    {DEMO_INT8.with_suffix(".txt").read_text()}. Where OpenVINO runs, it runs the same file."""
    parts = (
        _filled(method),
        _filled(f"**Five members (3 x ResNet-50, ResNet-34, MobileNetV2), 512 x 512, {_weights()}"),
        big,
        _filled(bundle),
        small,
        _filled(
            """**The scorer process with the demonstration bundle**: decoding, locating, both hands
            scored, of one generated film of 1024 rows; its import holds the daemon's steps, its
            load both bundles."""
        ),
        node,
    )
    return "\n\n".join(parts) + "\n"


def _filled(paragraph: str) -> str:
    """A paragraph in lines of 100 characters; none begins with what Markdown takes for a quote."""
    words = " ".join(paragraph.split()).replace(" >= ", "\xa0>=\xa0").replace(" <= ", "\xa0<=\xa0")
    filled = textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\xa0", " ")


def prepare() -> bool:
    """Make the graphs that are missing; False where the ensemble cannot be, for want of torch."""
    from tests.perf import engine_files

    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "film.dcm").is_file():
        made = phantoms(FOLDER / "films", 1, 41, size=1024)
        made[0].replace(FOLDER / "film.dcm")
    engine_files.without_cam(DEMO, FOLDER / "demo-nocam.onnx")
    engine_files.gated(FOLDER / "store", DEMO_INT8)
    if _ensemble() == TRAINED:
        engine_files.without_cam(TRAINED / "ensemble.onnx", TRAINED / "nocam.onnx")
    if (_ensemble() / "ensemble-u8.onnx").is_file():
        return True
    if importlib.util.find_spec("torch") is None:
        return False
    from tests.perf import engine_graphs

    graph = FOLDER / "ensemble.onnx"
    engine_graphs.export(graph, MEMBERS, SIZE)
    engine_files.without_cam(graph, FOLDER / "nocam.onnx")
    engine_files.integer(graph, FOLDER / "ensemble-u8.onnx", (SIZE, SIZE), CALIBRATION)
    return True


def main() -> None:
    """Print the page, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    text = page(options.images, options.rounds)
    if options.out is not None:
        options.out.write_text(f"# Benchmarks of CPU engines\n\n{text}", encoding="utf-8")
    print(text)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
