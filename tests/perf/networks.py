"""Networks and generator: ``python -m tests.perf.networks`` writes docs/benchmarks-training.md.

The three programs that need torch or the generator, one after the other, each in a process of its
own. Without torch the page stays as it is, and the command says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

from ra_engine.cpu import cpu_features
from tests.support.paths import REPOSITORY

PARTS = {
    "training": """## Training against a plain PyTorch loop

The plain loop is what a tutorial shows: torchvision's transforms image by image, a DataLoader,
FP32, AdamW. `ra-train fit` makes the same kinds of changes batch-wise, computes the backbone in
BF16 and channels last, and clips, averages weights, logs and saves besides.""",
    "cam": """## The heatmap in the graph

One image, random weights, ONNX Runtime with and without the map, beside pytorch-grad-cam and
PyTorch's plain forward. Goal for the graph: a ratio of 1.05 at most.""",
    "bench_phantom": """## Generating radiographs

Process time of one two-hand radiograph on one core, median of 12. Goal: 60 ms at 512 rows.""",
}


def printed(module: str) -> str:
    """What a program prints.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", f"tests.perf.{module}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY)
    return done.stdout.strip()


def page() -> str:
    """The page, with the method."""
    before = os.getloadavg()[0]
    sections = [f"{about}\n\n{printed(name)}\n" for name, about in PARTS.items()]
    return f"""# Benchmarks of training and generation

Written by `make bench` (`python -m tests.perf.networks`) where torch is installed: ratios of one
run; absolute figures are of one machine ({os.cpu_count()} cores, {platform.machine()}
{" ".join(cpu_features())}, Python {platform.python_version()}); load average {before:.1f} before.

{chr(10).join(sections)}"""


def main() -> None:
    """Run all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "benchmarks-training.md")
    asked = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print('left as it is: benchmarks-training.md needs torch: pip install ".[study]"')
        return
    text = page()
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
