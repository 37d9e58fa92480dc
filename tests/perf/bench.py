"""Benchmarks side by side with a peer, as ratios of one run; writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ra_daemon.config import Scoring
from tests.perf import bare, whole
from tests.support.paths import REPOSITORY
from tests.support.site import phantoms, write_site

IMAGES = 103
THREADS = Scoring().decode_threads

Row = tuple[str, str]
"""What was measured, and the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Rounds of one kind of file, bare engine and node in turn: medians of images a second.

    ``in_turn`` is the bare engine with decoding, ``alone`` without.
    """

    in_turn: float
    alone: float
    rate: float
    steady: float
    memory: whole.Memory

    def ratios(self, roof: float) -> str:
        """Both rates of the node as shares of a roof."""
        return f"{self.rate / roof:.2f} and {self.steady / roof:.2f}"


SPARE = 10
"""Images that are made besides, for the gate refuses some."""


def against(files: list[Path], folder: Path, rounds: int, decoders: int = THREADS) -> Against:
    """Bare engine, node, bare engine, ...: what else the machine does meets both."""
    bares, nodes = [bare.engine(files)], []
    for number in range(rounds):
        nodes.append(whole.full_queue(files, folder / str(number), decoders))
        bares.append(bare.engine(files))
    return Against(
        in_turn=statistics.median(turn for turn, _ in bares),
        alone=statistics.median(alone for _, alone in bares),
        rate=statistics.median(node.rate for node in nodes),
        steady=statistics.median(node.steady for node in nodes),
        memory=max((node.memory for node in nodes), key=lambda memory: memory.scorer),
    )


def receiving(files: list[Path], folder: Path) -> list[Row]:
    """Rows of receiving."""
    peer = whole.receive_storescp(files, folder / "storescp")
    ours = whole.receive_node(files, write_site(folder / "receive", []))
    synced = "received, ra-daemon (file and folder synced before each acknowledgement)"
    return [
        ("received, DCMTK storescp (bit preserving, no sync)", f"{peer:.1f} images/s"),
        (synced, f"{ours:.1f} images/s"),
        ("ratio ra-daemon / storescp", f"{ours / peer:.2f}"),
    ]


def scoring(files: list[Path], folder: Path, rounds: int) -> list[Row]:
    """Rows of a full queue, uncompressed and JPEG 2000, and of memory."""
    plain = against(files, folder / "plain", rounds)
    packed = bare.as_jpeg_2000(files, folder / "packed-files")
    one, pool = bare.decoding(packed, 1), bare.decoding(packed, THREADS)
    jpeg = against(packed, folder / "packed", rounds)
    single = against(packed, folder / "single", rounds, 1)
    limit, least = min(pool, jpeg.alone), min(one, single.alone)
    everything = max(plain.memory.node, jpeg.memory.node)
    return [
        ("scored, bare engine: decode, locate, score, heatmap in turn", _rate(plain.in_turn)),
        ("the same without decoding", _rate(plain.alone)),
        ("scored, whole node, full queue (reports are sent meanwhile)", _rate(plain.rate)),
        ("the same, once all are admitted", _rate(plain.steady)),
        ("ratio node / bare engine (goal 0.90), likewise", plain.ratios(plain.in_turn)),
        ("ratio node / bare engine without decoding, likewise", plain.ratios(plain.alone)),
        ("JPEG 2000: decoding alone, one thread", _rate(one)),
        (f"JPEG 2000: decoding alone, {THREADS} threads", _rate(pool)),
        ("JPEG 2000: bare engine, decoding and scoring in turn", _rate(jpeg.in_turn)),
        ("JPEG 2000: whole node, full queue", _rate(jpeg.rate)),
        ("JPEG 2000: the same, once all are admitted", _rate(jpeg.steady)),
        ("JPEG 2000: ratio node / roof (goal 0.90), likewise", jpeg.ratios(limit)),
        ("JPEG 2000: whole node that decodes in one thread", _rate(single.rate)),
        ("JPEG 2000: the same, ratio node / roof (goal 0.90), likewise", single.ratios(least)),
        ("peak resident memory, scorer process (goal 1200)", f"{plain.memory.scorer:.0f} MB"),
        ("the same, JPEG 2000", f"{jpeg.memory.scorer:.0f} MB"),
        ("peak resident memory, all processes of the node", f"{everything:.0f} MB"),
    ]


def waiting(files: list[Path], folder: Path) -> list[Row]:
    """Rows of latency, start and preparation."""
    single, start = whole.single_images(files, folder / "single")
    p50, p99 = (whole.percentile(single, share) for share in (0.5, 0.99))
    imported = bare.importing("ra_daemon.service")
    loaded = bare.loading(folder / "load")
    one = f"from C-STORE to the SR in the PACS, one image, idle node, {len(single)} images"
    return [
        (f"{one}: p50, p99, slowest", f"{p50:.2f}, {p99:.2f}, {single[-1]:.2f} s"),
        ("import of `ra_daemon.service`, fresh interpreter, best of 5", f"{imported:.2f} s"),
        ("from `ra-daemon start` until the port answers, new store", f"{start:.2f} s"),
        ("from the start of a scorer process until its models are loaded", f"{loaded:.2f} s"),
        (
            "preprocessing of 2500 x 2000 to 512 x 512, one thread, best of 20 (goal 30)",
            f"{bare.preparing():.1f} ms",
        ),
    ]


def _rate(value: float) -> str:
    return f"{value:.1f} images/s"


def page(images: int, rounds: int) -> str:
    """The page, with the method."""
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = bare.accepted(phantoms(folder / "in", images + SPARE, 17, size=1024), images)
        rows = [
            *receiving(files, folder),
            *scoring(files, folder, rounds),
            *waiting(files, folder),
        ]
        table = "\n".join(f"| {what} | {figure} |" for what, figure in rows)
        size_mb = files[0].stat().st_size / 2**20
    return f"""# Benchmarks

Written by `make bench`: ratios of one run; absolute figures are of one machine
({os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}); load average
{before:.1f} before, {os.getloadavg()[1]:.1f} at the end (5 minutes; the bench alone makes about 3).
{images} generated two-hand radiographs of {size_mb:.1f} MB, uncompressed unless stated;
{whole.SENDERS} dcmsend processes; demonstration bundle in FP32 on ONNX Runtime, one thread.

| what | figure |
|---|---|
{table}

**Bare engine**: one process, one image at a time, no daemon; it decodes, locates both hands, judges
them as the gate does, scores them and makes the heatmaps, on one core.
**Whole node**: all but {whole.WARM} images are sent at once to a node that has loaded its models.
Its scorer has the same one thread for the engine and {THREADS} that decode ahead, so it may pass
the bare engine that decodes in turn; the engine without decoding is its true roof, and with JPEG
2000 the lower of that and of decoding in as many threads as the node has for it. Of {THREADS} cores
such decoding leaves none for the engine, so that this roof cannot be reached there; with one thread
that decodes the engine has a core of its own. The node's rate counts from the end of sending (what
was scored until then is left out), while images are still parsed, digested and entered, or from the
first batch that is settled once all are in the queue, to the last settled job; reports may still be
composed then. Receiver, database, the processes that compose reports (at a lower
priority), the senders and the PACS that takes the reports run on the same cores. Bare engine and
node take turns ({rounds} rounds of the node); figures are medians.
**Latency** runs from the start of a dcmsend process to the SR in the PACS, one image after the
other; the first {whole.WARM} are left out: they wait for models and for processes that compose.

Other pages: [engines](benchmarks-engines.md); [training, heatmaps and
generator](benchmarks-training.md).

No GPU figure stands here: `tensorrt` and `tensorrt-rtx` were never run by us, and
`tests/perf/gpu.py` (eager, AOTInductor, TensorRT-RTX, torch.compile; see [GPUs](gpu.md)) has not
been run on a GPU.
"""


def main() -> None:
    """Run all, write the page and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "benchmarks.md")
    asked = parser.parse_args()
    if shutil.which("storescp") is None:
        sys.exit("storescp is missing: apt-get install dcmtk")
    text = page(asked.images, asked.rounds)
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
