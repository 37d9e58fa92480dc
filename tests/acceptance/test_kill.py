"""SIGKILL of the node's whole process tree: in and between its steps, and at any time, under load.

Afterwards: nothing that was acknowledged is lost, no input has two reports, and the same UID always
means the same bytes.
"""

from __future__ import annotations

import copy
import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from ra_daemon.checkpoints import BETWEEN, STEPS
from tests.support.processes import RunningNode, kill_group, run_node, wait_until
from tests.support.site import (
    CAPTURE,
    REPORTS,
    SinkPacs,
    column,
    phantoms,
    rows,
    send,
    settled,
    sink_pacs,
    sources,
    write_site,
)

POINTS = (*STEPS, *BETWEEN)
AT_RANDOM = "random"
ROUND_LIMIT_S = 45.0
FEED_S = 4.0
SPARE_ROUNDS = 6
"""A point may not come in its round: the one before it took the work."""


@dataclass(slots=True)
class Sender:
    """Threads that send images until each is acknowledged, whatever happens to the node."""

    port: int
    waiting: list[Dataset] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, threads: int) -> list[threading.Thread]:
        """Start the threads."""
        started = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in started:
            thread.start()
        return started

    def put(self, images: Sequence[Dataset]) -> None:
        """Give images to send."""
        with self._lock:
            self.waiting.extend(images)

    def stop(self) -> None:
        """End the threads."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                image = self.waiting.pop(0) if self.waiting else None
            if image is None:
                time.sleep(0.05)
                continue
            uid = str(image.SOPInstanceUID)
            try:
                status = send(self.port, [image]).get(uid)
            except (RuntimeError, ValueError, OSError, AttributeError):
                status = None  # the association broke under the request: send it again
            if status == 0x0000:
                with self._lock:
                    self.acknowledged.add(uid)
            else:
                with self._lock:
                    self.waiting.append(image)
                time.sleep(0.2)


def images(folder: Path, seed: int) -> Iterator[Dataset]:
    """Endless different radiographs, each a study of its own, made from a few generated ones."""
    templates = [dcmread(p) for p in phantoms(folder, 6, seed, size=320)]
    for number in itertools.count():
        template = templates[number % len(templates)]
        image = copy.deepcopy(template)  # a shallow copy would share its elements
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(image, keyword, generate_uid(entropy_srcs=[keyword, str(seed), str(number)]))
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID = f"KILL-{number:04d}"
        # Other pixels as well: the same exposure under two UIDs would be one exposure.
        pixels = bytearray(template.PixelData)
        pixels[:2] = (number % 4096).to_bytes(2, "little")
        image.PixelData = bytes(pixels)
        yield image


def next_point(hits: Counter[str], each: int, chance: random.Random) -> str | None:
    """A point that was killed least often, as ``point:n``; None when each was ``each`` times."""
    least = min(hits[point] for point in POINTS)
    if least >= each:
        return None
    point = chance.choice([p for p in POINTS if hits[p] == least])
    return f"{point}:{chance.choice((1, 1, 2))}"


def killed_at(folder: Path) -> Counter[str]:
    """How often each point was hit by a kill, by the lines that the node wrote before it died."""
    hits: Counter[str] = Counter()
    for log in folder.glob("*.log"):
        for line in log.read_text().splitlines():
            words = line.split()
            if words[-1] == "kill":
                hits[words[0]] += 1
    return hits


def kill_round(site: Path, checkpoints: Path, at: str, more: Callable[[int], None]) -> bool:
    """Run the node until the kill point takes it; False when the point never came.

    One image after the other is sent meanwhile: some points come once a batch, however large.
    """
    env = {"RA_DAEMON_CHECKPOINT_DIR": str(checkpoints), "RA_DAEMON_KILL_AT": at}
    with run_node(site, env=env, wait=False) as node:
        fed = time.monotonic()

        def gone() -> bool:
            nonlocal fed
            if time.monotonic() - fed > FEED_S:
                fed = time.monotonic()
                more(1)
            return node.process.poll() is not None

        deadline = time.monotonic() + ROUND_LIMIT_S
        while not gone():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        # Before the helper's own kill: the point itself took the whole tree.
        wait_until(lambda: survivors(site) == [], 10, every=0.05)
    return True


def kill_in_time(site: Path, checkpoints: Path, after_s: float) -> bool:
    """Kill the whole group at a time that the node knows nothing of; whether it was at work."""
    before = lines(checkpoints)
    with run_node(site, env={"RA_DAEMON_CHECKPOINT_DIR": str(checkpoints)}) as node:
        time.sleep(after_s)
        assert node.process.poll() is None, node.text()[-3000:]
        kill_group(node.process)
        wait_until(lambda: survivors(site) == [], 10, every=0.05)
    return lines(checkpoints) > before


def lines(folder: Path) -> int:
    """How many points were reached so far."""
    return sum(len(log.read_text().splitlines()) for log in folder.glob("*.log"))


def survivors(site: Path) -> list[int]:
    """Processes that were started for this node, by the variable of the kill point, and live."""
    left = []
    for process in psutil.process_iter(["status"]):
        try:
            inherited = process.environ().get("RA_DAEMON_CHECKPOINT_DIR", "")
        except psutil.Error:
            continue
        if Path(inherited) == site.parent / "checkpoints" and process.info["status"] != "zombie":
            left.append(process.pid)
    return left


def drain(node: RunningNode, site: Path, sender: Sender, total: int) -> None:
    """Wait until everything is acknowledged, judged and delivered."""
    wait_until(lambda: len(sender.acknowledged) == total, 60)
    wait_until(lambda: settled(site, total) or node.process.poll() is not None, 120, every=0.3)
    assert node.process.poll() is None, node.text()[-3000:]


def verify(site: Path, sink: SinkPacs, sent: set[str]) -> None:
    """Compare what was acknowledged with verdicts and with the PACS."""
    verdicts = Counter(
        column(
            site,
            "SELECT sop_instance_uid FROM v1_results WHERE kind = 'svdh_total' AND status = "
            "'current' UNION ALL SELECT sop_instance_uid FROM v1_refusals WHERE status = 'current'",
        )
    )
    assert set(verdicts) == sent
    assert {uid: n for uid, n in verdicts.items() if n != 1} == {}
    assert column(site, "SELECT count(*) FROM v1_jobs WHERE state = 'failed'") == [0]

    changed = {uid: v for uid, v in sink.versions().items() if len(v) > 1}
    assert changed == {}, "the same UID came with different bytes"
    scored = set(column(site, "SELECT sop_instance_uid FROM v1_results WHERE kind='svdh_total'"))
    for classes in (REPORTS, {CAPTURE}):
        made = Counter(uid for ds in sink.datasets(classes) for uid in sources(ds))
        assert set(made) == scored
        assert {uid: n for uid, n in made.items() if n != 1} == {}
    expected = {r["sop_instance_uid"] for r in rows(site, "SELECT * FROM v1_deliveries")}
    assert sink.instances() == expected


def run_kills(tmp_path: Path, *, each: int, at_random: int, seed: int) -> Counter[str]:
    """Kill the node ``each`` times at every point, then ``at_random`` times by the clock; let it
    finish, verify; how often each point was hit, and how often the clock hit a node at work."""
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    chance = random.Random(seed)
    busy = 0
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        port = _port(site)
        stream = images(tmp_path / "images", seed)
        sender = Sender(port=port)
        threads = sender.run(3)
        sent: list[Dataset] = []

        def more(count: int) -> None:
            batch = [next(stream) for _ in range(count)]
            sent.extend(batch)
            sender.put(batch)

        try:
            more(4)
            for _ in range(each * len(POINTS) + SPARE_ROUNDS):
                point = next_point(killed_at(checkpoints), each, chance)
                if point is None:
                    break
                more(2)
                kill_round(site, checkpoints, point, more)
            for _ in range(at_random):
                more(4)
                busy += kill_in_time(site, checkpoints, chance.uniform(0.2, 3.0))
            with run_node(site) as node:
                drain(node, site, sender, len(sent))
        finally:
            sender.stop()
            for thread in threads:
                thread.join(30)
        verify(site, sink, {str(image.SOPInstanceUID) for image in sent})
    return killed_at(checkpoints) + Counter({AT_RANDOM: busy})


def _port(site: Path) -> int:
    import tomllib

    return int(tomllib.loads((site / "ra-daemon.toml").read_text())["node"]["port"])


@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("kill")
def test_kill_at_every_point_and_at_any_time(tmp_path: Path) -> None:
    each = int(os.environ.get("RA_KILLS", "2"))
    hits = run_kills(tmp_path, each=each, at_random=4, seed=1)
    assert {point: hits[point] for point in POINTS if hits[point] < each} == {}, hits
    assert hits[AT_RANDOM] >= 2, hits
    assert sum(hits.values()) >= 30, hits


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_many_kills(tmp_path: Path, seed: int) -> None:
    hits = run_kills(tmp_path, each=8, at_random=40, seed=seed)
    assert {point: hits[point] for point in POINTS if hits[point] < 8} == {}, hits
    assert hits[AT_RANDOM] >= 20, hits
