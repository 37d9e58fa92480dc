"""The modality of the demo: makes radiographs in a child process and sends them."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ra_daemon.config import Config, Node, Peer
from ra_daemon.dicom import read, scu
from ra_daemon.domain import Reason
from ra_daemon.errors import DaemonError

AE_TITLE = "MODALITY"
SUBJECTS, VISITS = 4, 3
SCORED = "scored"
_SEED_STEP = 100_000  # the odd images come from seeds that no subject has


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One object of the modality. ``truth`` is None for what must be refused.

    ``expected``: the verdict that it must get: ``scored`` or the code of a refusal.
    """

    path: Path
    digest: str
    what: str
    expected: str = SCORED
    subject: str = ""
    visit: int = 0
    truth: float | None = None


def make(folder: Path, seed: int) -> list[Sent]:
    """Twelve radiographs, a foot, and an object cut off in its pixel data."""
    hands = folder / "hands"
    _phantom(hands, seed, "--n", str(SUBJECTS), "--visits", str(VISITS), "--prior", "flat")
    _phantom(folder / "foot", seed + _SEED_STEP, "--n", "1", "--nonhand", "foot")
    _phantom(folder / "whole", seed + 2 * _SEED_STEP, "--n", "1")
    with (hands / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    sent = [_radiograph(hands, row) for row in rows]
    whole = next((folder / "whole").glob("*.dcm"))
    corrupt = folder / "corrupt.dcm"
    raw = whole.read_bytes()
    corrupt.write_bytes(raw[: len(raw) * 3 // 5 // 2 * 2])
    whole.unlink()
    foot = next((folder / "foot").glob("*.dcm"))
    odd = ((foot, "a foot", Reason.NOT_A_HAND), (corrupt, "a corrupt object", Reason.UNREADABLE))
    for path, what, reason in odd:
        digest = read.digests(path)[0]
        sent.append(Sent(path=path, digest=digest, what=what, expected=reason.value))
    # The odd ones travel in the midst of the others, as they do in life.
    return [*sent[:4], sent[12], *sent[4:8], sent[13], *sent[8:12]]


def send(port: int, called: str, paths: Sequence[Path]) -> list[Path]:
    """C-STORE files to the node; those that were not acknowledged with success."""
    us = Config(node=Node(ae_title=AE_TITLE))
    node = Peer(name="node", ae_title=called, port=port)
    return [path for path, status in scu.store_files(us, node, paths) if status != 0]


def _radiograph(folder: Path, row: dict[str, str]) -> Sent:
    path = folder / row["file"]
    return Sent(
        path=path,
        digest=read.digests(path)[0],
        what="a radiograph",
        subject=row["patient_id"].rsplit("-", 1)[1].lstrip("0"),
        visit=int(row["visit"]),
        truth=float(row["total"]),
    )


def _phantom(out: Path, seed: int, *arguments: str) -> None:
    """The generator in its own process: the daemon knows nothing of it."""
    program = [sys.executable, "-m", "ra_training", "phantom"]
    done = subprocess.run(
        [*program, "--seed", str(seed), "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DaemonError(
            f"No radiographs: {done.stderr.strip().splitlines()[-1:] or done.returncode}",
            hint="Run ra-train phantom --n 1 --seed 1 --out DIR and read its message.",
        )
