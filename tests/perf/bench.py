"""Benchmarks side by side with a peer, as ratios of one run; writes docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import psutil
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from ra_daemon.config import Config, Route, Scoring
from ra_daemon.dicom import read
from ra_daemon.steps import gate
from ra_daemon.steps.score import Gated, Models, with_sides
from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph, ScoredImage
from tests.support.paths import REPOSITORY
from tests.support.processes import free_port, listening, run_node, wait_until
from tests.support.site import REPORTS, SinkPacs, column, phantoms, sink_pacs, write_site

IMAGES = 48
SENDERS = 4
SINGLE = 11
BATCH = Scoring().batch


def dcmsend(files: list[Path], port: int, called: str) -> float:
    """Seconds that ``SENDERS`` dcmsend processes need for disjoint lists."""
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            ["dcmsend", "-dn", "-aet", "MODALITY", "-aec", called, "127.0.0.1", str(port)]
            + [str(f) for f in files[i::SENDERS]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(SENDERS)
    ]
    for process in running:
        process.wait(300)
    return time.perf_counter() - started


def receive_storescp(files: list[Path], folder: Path) -> float:
    """Images a second of DCMTK's storescp, bit preserving, PDU 131072, no fsync."""
    folder.mkdir()
    port = free_port()
    server = subprocess.Popen(
        ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: listening(port), 20)
        seconds = dcmsend(files, port, "ANY")
        assert len(list(folder.iterdir())) == len(files), "storescp lost an image"
    finally:
        server.kill()
        server.wait()
    return len(files) / seconds


def receive_node(files: list[Path], site: Path) -> float:
    """Images a second of our receiver, synced to disk before each acknowledgement."""
    with run_node(site, arguments=("--only", "receive")) as node:
        seconds = dcmsend(files, node.port, "RA_DAEMON")
        received = "SELECT count(*) FROM v1_instances"
        wait_until(lambda: column(site, received) == [len(files)], 60)
    return len(files) / seconds


def bare_engine(files: list[Path]) -> float:
    """Images a second of decode, locate and score in one process, without a daemon."""
    config = Config(scoring=Scoring(threads=1))  # as the node of this page
    models, route = Models.load(config), Route(name="bench")
    started = time.perf_counter()
    for path in files:
        decoded = read.decode(path)
        assert isinstance(decoded, Radiograph)
        located = models.locate(decoded)
        assert gate.judge_pixels(decoded, located) is None
        side, source, conflict = gate.laterality(decoded, located)
        views = with_sides(located.hands, side, source, conflict=conflict)
        image = ScoredImage(instance="1", radiograph=decoded, views=views)
        gated = Gated(image=image, side=side, side_source=source, conflict=conflict)
        models.score([gated], route.scorers, lambda _name: None)
    return len(files) / (time.perf_counter() - started)


@contextmanager
def memory_of(pid: int) -> Iterator[list[float]]:
    """Peak resident MB of a process and its children while the block runs."""
    peak, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            try:
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                peak[0] = max(peak[0], sum(p.memory_info().rss for p in family) / 2**20)
            except psutil.Error:
                continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def decoding(files: list[Path]) -> float:
    """Images a second of decoding alone."""
    started = time.perf_counter()
    for path in files:
        assert isinstance(read.decode(path), Radiograph)
    return len(files) / (time.perf_counter() - started)


def preparing() -> float:
    """Milliseconds of the whole preprocessing of one 2500 x 2000 image of 12 bits, one thread."""
    cv2.setNumThreads(1)
    noise = np.random.default_rng(1).normal(1800, 500, (2500, 2000))
    radiograph = Radiograph(pixels=np.clip(noise, 0, 4095).astype(np.uint16), inverted=True)
    spec = Preprocessing(kind="letterbox", rows=512, columns=512)
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        prepare_image(radiograph, spec)
        taken.append((time.perf_counter() - started) * 1e3)
    return min(taken)


def as_jpeg_2000(files: list[Path], folder: Path) -> list[Path]:
    """Lossless copies with fresh SOP instance UIDs."""
    folder.mkdir()
    made = []
    for path in files:
        ds = dcmread(path)
        ds.compress(JPEG2000Lossless)
        ds.save_as(folder / path.name)
        made.append(folder / path.name)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a node did: images a second, sorted seconds from C-STORE to SR, peak MB.

    ``rate`` counts from the end of sending, ``steady`` from the first settled job of the queue.
    """

    rate: float
    steady: float
    latencies: list[float]
    peak_mb: float


def whole_node(files: list[Path], folder: Path) -> Whole:
    """A node with a full queue, after single images on an idle one."""
    with sink_pacs(folder / "pacs") as sink:
        site = write_site(folder / "site", [sink.peer])
        with run_node(site) as node, memory_of(node.process.pid) as peak:
            latencies = [_latency(files[i], i + 1, node.port, sink) for i in range(SINGLE + 1)]
            dcmsend(files[SINGLE + 1 :], node.port, "RA_DAEMON")
            started = time.perf_counter()
            done = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"
            before = column(site, done)[0]
            wait_until(lambda: column(site, done) == [len(files)], 300, every=0.02)
            rate = (len(files) - before) / (time.perf_counter() - started)
            ends = column(site, "SELECT finished_at FROM v1_jobs ORDER BY finished_at")
    moments = [datetime.fromisoformat(str(end)) for end in ends[SINGLE + 1 :]]
    first, rest = moments[BATCH - 1], moments[BATCH:]  # a batch is settled together
    steady = len(rest) / (rest[-1] - first).total_seconds()
    # the first image waits for the models
    return Whole(rate=rate, steady=steady, latencies=sorted(latencies[1:]), peak_mb=peak[0])


def _latency(file: Path, number: int, port: int, sink: SinkPacs) -> float:
    started = time.perf_counter()
    dcmsend([file], port, "RA_DAEMON")
    wait_until(lambda: len(sink.instances(REPORTS)) == number, 60, every=0.01)
    return time.perf_counter() - started


def main() -> None:
    """Run all and write the page."""
    if shutil.which("storescp") is None:
        sys.exit("storescp is missing: apt-get install dcmtk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = phantoms(folder / "in", IMAGES, 17, size=1024)
        peer = receive_storescp(files, folder / "storescp")
        ours = receive_node(files, write_site(folder / "receive", []))
        # before and after, so that a change of the machine's load shows
        bare = [bare_engine(files)]
        plain = whole_node(files, folder / "whole")
        bare.append(bare_engine(files))
        packed = as_jpeg_2000(files, folder / "j2k")
        decode, bare_packed = decoding(packed), bare_engine(packed)
        jpeg = whole_node(packed, folder / "whole-j2k")
        prepare = preparing()
        size_mb = files[0].stat().st_size / 2**20
    engine, limit = sum(bare) / len(bare), min(decode, sum(bare) / len(bare))
    p50, last = plain.latencies[len(plain.latencies) // 2], plain.latencies[-1]
    page = f"""# Benchmarks

Written by `make bench`: ratios of one run; absolute figures are of one machine
({os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}); load average at
the end {os.getloadavg()[1]:.1f} (5 minutes; the bench alone makes about 3).
{IMAGES} generated two-hand radiographs of {size_mb:.1f} MB, uncompressed unless stated;
{SENDERS} dcmsend processes.

| what | figure |
|---|---|
| received, DCMTK storescp (bit preserving, no sync) | {peer:.1f} images/s |
| received, ra-daemon (file and folder synced before each acknowledgement) | {ours:.1f} images/s |
| ratio ra-daemon / storescp | {ours / peer:.2f} |
| scored, bare engine (decode, locate, score, heatmap; one process), before and after the node | \
{bare[0]:.1f} and {bare[1]:.1f} images/s |
| scored, whole node with a full queue (reports composed and sent meanwhile) | \
{plain.rate:.1f} images/s |
| the same, from the first settled job on | {plain.steady:.1f} images/s |
| ratio node / bare engine (goal 0.90), from the end of sending and from the first settled job | \
{plain.rate / engine:.2f} and {plain.steady / engine:.2f} |
| JPEG 2000: decoding alone, one thread | {decode:.1f} images/s |
| JPEG 2000: bare engine, decoding and scoring in turn | {bare_packed:.1f} images/s |
| JPEG 2000: whole node with a full queue | {jpeg.rate:.1f} images/s |
| JPEG 2000: ratio node / min(decoding, engine) (goal 0.90), likewise | \
{jpeg.rate / limit:.2f} and {jpeg.steady / limit:.2f} |
| preprocessing of a 2500 x 2000 image to 512 x 512, one thread, best of 20 (goal 30) | \
{prepare:.1f} ms |
| from C-STORE to the SR in the PACS, one image, idle node, median of {SINGLE} | {p50:.2f} s |
| the same, slowest of {SINGLE} | {last:.2f} s |
| peak resident memory, all processes of the node | {plain.peak_mb:.0f} MB |

The node's rate counts from the end of sending (admission and the claim of the first batch are in
it) or from the first settled job, to the last; reports may still be composed then. The bare engine
runs one image at a time with the same number of threads.

No GPU figure stands here: `tensorrt` and `tensorrt-rtx` were never run by us, and
`tests/perf/gpu.py` (eager, AOTInductor, TensorRT-RTX, torch.compile; see [GPUs](gpu.md)) has not
been run on a GPU.
""".replace("\\\n", "")
    (REPOSITORY / "docs" / "benchmarks.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
