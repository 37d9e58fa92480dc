"""A whole node under measurement: receiving, a full queue, single images, memory."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ra_daemon.config import Scoring
from tests.perf.memory import peak_mb
from tests.support.processes import free_port, listening, run_node, wait_until
from tests.support.site import REPORTS, SinkPacs, column, sink_pacs, write_site

SENDERS = 4
WARM = 3
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
        for i in range(min(SENDERS, len(files)))
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


@dataclass(slots=True, kw_only=True)
class Memory:
    """Peak resident MB: of all processes together, as seen twice a second, and of the scorer
    process, as the kernel keeps it."""

    node: float = 0.0
    scorer: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, pid: int, site: Path) -> None:
        """Look twice a second until told to stop: to look takes time of the same cores."""
        while not self._stop.wait(0.5):
            try:
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                resident = {p.pid: p.memory_info().rss / 2**20 for p in family}
                scorer = int((site / "store" / "run" / "scorer-0.pid").read_text())
            except (psutil.Error, OSError, ValueError):
                continue
            self.node = max(self.node, sum(resident.values()))
            if scorer in resident:
                self.scorer = max(self.scorer, peak_mb(scorer))

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()


@contextmanager
def memory_of(pid: int, site: Path) -> Iterator[Memory]:
    """Watch a node while the block runs."""
    memory = Memory()
    thread = threading.Thread(target=memory.watch, args=(pid, site), daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        memory.stop()
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A node with a full queue: images a second from the end of sending, and from the first batch
    that is settled once all images are in the queue."""

    rate: float
    steady: float
    memory: Memory


def full_queue(files: list[Path], folder: Path, decoders: int) -> Full:
    """Send all but ``WARM`` images at once to a node that has loaded its models and decodes ahead
    in so many threads."""
    done = "SELECT count(*) FROM v1_jobs WHERE state = 'scored'"
    with sink_pacs(folder / "pacs") as sink:
        scoring = f"decode_threads = {decoders}"
        site = write_site(folder / "site", [sink.peer], scoring=scoring)
        with run_node(site) as node, memory_of(node.process.pid, site) as memory:
            for number in range(WARM):
                send_one(files[number], number + 1, node.port, sink)
            dcmsend(files[WARM:], node.port, "RA_DAEMON")
            sent = datetime.now(UTC)
            wait_until(lambda: column(site, "SELECT count(*) FROM v1_jobs") == [len(files)], 60)
            admitted = datetime.now(UTC)
            wait_until(lambda: column(site, done) == [len(files)], 300, every=0.2)
            ends = column(site, "SELECT finished_at FROM v1_jobs ORDER BY finished_at")
    moments = [datetime.fromisoformat(str(end)) for end in ends]
    last = moments[-1]
    after_sending = [m for m in moments if m > sent]
    first = [m for m in moments if m > admitted][BATCH - 1]
    rest = [m for m in moments if m > first]  # a batch is settled together
    return Full(
        rate=len(after_sending) / (last - sent).total_seconds(),
        steady=len(rest) / (last - first).total_seconds(),
        memory=memory,
    )


def single_images(files: list[Path], folder: Path) -> tuple[list[float], float]:
    """Sorted seconds from C-STORE to the SR in the PACS, each image alone on an idle node; and
    seconds from the node's start until its port answers."""
    with sink_pacs(folder / "pacs") as sink:
        site = write_site(folder / "site", [sink.peer])
        started = time.perf_counter()
        with run_node(site) as node:
            start = time.perf_counter() - started
            taken = [send_one(f, n + 1, node.port, sink) for n, f in enumerate(files)]
    return sorted(taken[WARM:]), start  # the first waits for the models


def send_one(file: Path, number: int, port: int, sink: SinkPacs) -> float:
    """Seconds until the PACS has the report of image ``number``."""
    started = time.perf_counter()
    dcmsend([file], port, "RA_DAEMON")
    wait_until(lambda: len(sink.instances(REPORTS)) >= number, 60, every=0.01)
    return time.perf_counter() - started


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted values."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
