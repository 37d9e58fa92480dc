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
from pathlib import Path

import psutil

from ra_daemon.config import Config, Route, Scoring
from ra_daemon.dicom import read
from ra_daemon.steps import gate
from ra_daemon.steps.score import Gated, Models, with_sides
from ra_engine.types import Radiograph, ScoredImage
from tests.support.paths import REPOSITORY
from tests.support.processes import free_port, listening, run_node, wait_until
from tests.support.site import REPORTS, column, phantoms, sink_pacs, write_site

IMAGES = 48
SENDERS = 4


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


def whole_node(files: list[Path], folder: Path) -> tuple[float, float, float]:
    """Images a second with a full queue, seconds from C-STORE to SR of one image, peak MB."""
    with sink_pacs(folder / "pacs") as sink:
        site = write_site(folder / "site", [sink.peer])
        with run_node(site) as node, memory_of(node.process.pid) as peak:
            dcmsend(files[:1], node.port, "RA_DAEMON")  # the first image waits for the models
            wait_until(lambda: len(sink.instances(REPORTS)) == 1, 60)
            started = time.perf_counter()
            dcmsend(files[1:2], node.port, "RA_DAEMON")
            wait_until(lambda: len(sink.instances(REPORTS)) == 2, 60, every=0.01)
            latency = time.perf_counter() - started
            dcmsend(files[2:], node.port, "RA_DAEMON")
            started = time.perf_counter()
            done = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"
            before = column(site, done)[0]
            wait_until(lambda: column(site, done) == [len(files)], 300, every=0.02)
            rate = (len(files) - before) / (time.perf_counter() - started)
    return rate, latency, peak[0]


def main() -> None:
    """Run all and write the page."""
    if shutil.which("storescp") is None:
        sys.exit("storescp is missing: apt-get install dcmtk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = phantoms(folder / "in", IMAGES, 17, size=1024)
        peer = receive_storescp(files, folder / "storescp")
        ours = receive_node(files, write_site(folder / "receive", []))
        bare = bare_engine(files)
        rate, latency, peak = whole_node(files, folder / "whole")
        size_mb = files[0].stat().st_size / 2**20
    page = f"""# Benchmarks

Written by `make bench`: ratios of one run; absolute figures are of one machine
({os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}).
{IMAGES} generated two-hand radiographs of {size_mb:.1f} MB, uncompressed;
{SENDERS} dcmsend processes.

| what | figure |
|---|---|
| received, DCMTK storescp (bit preserving, no sync) | {peer:.1f} images/s |
| received, ra-daemon (file and folder synced before each acknowledgement) | {ours:.1f} images/s |
| ratio ra-daemon / storescp | {ours / peer:.2f} |
| scored, bare engine (decode, locate, score, heatmap; one process) | {bare:.1f} images/s |
| scored, whole node with a full queue (reports composed and sent meanwhile) | {rate:.1f} images/s |
| ratio node / bare engine | {rate / bare:.2f} |
| from C-STORE to the SR in the PACS, one image, idle node | {latency:.2f} s |
| peak resident memory, all processes of the node | {peak:.0f} MB |

The node's rate counts from the end of sending to the last job settled. The bare engine runs one
image at a time with the same number of threads.

No GPU figure stands here: `tensorrt` and `tensorrt-rtx` were never run by us, and
`tests/perf/gpu.py` (eager, AOTInductor, TensorRT-RTX, torch.compile; see [GPUs](gpu.md)) has not
been run on a GPU.
"""
    (REPOSITORY / "docs" / "benchmarks.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
