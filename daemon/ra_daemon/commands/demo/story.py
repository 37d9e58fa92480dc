"""The demo's plot: start, send, break, recover, compare, tell."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ra_daemon.commands.demo import modality
from ra_daemon.commands.demo.modality import Sent
from ra_daemon.commands.demo.node import AE_TITLE, DemoNode
from ra_daemon.commands.demo.pacs import MiniPacs
from ra_daemon.commands.demo.reconcile import Line, reconcile, summary
from ra_daemon.commands.demo.report import write_report
from ra_daemon.config import Config, Node, Peer
from ra_daemon.dicom import scu
from ra_daemon.errors import ConfigError, DaemonError, PeerError

_OURS = ("pacs", "node", "radiographs", "report.html", "summary.json")
_LIMIT_S = 150.0
_USUAL_S = 90.0
"""A machine with two free cores needs less."""

_FAULTS = ("lost", "duplicates", "unexpected")
_FIRST = 5  # objects that arrive before the crash


def play(out: Path, *, seed: int, serve: bool) -> int:
    """Play the demo into ``out``; its exit status.

    0 only when nothing is lost, nothing is doubled, and each object got the verdict that it must.
    """
    console = Console(highlight=False, soft_wrap=True)
    _clear(out)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    ports = _free_ports(3)
    pacs = MiniPacs(out / "pacs", ports[0])
    node = DemoNode(out / "node", port=ports[1], pacs_port=ports[0], web_port=ports[2])
    try:
        sent = _open(console, out, pacs, node, seed)
        _work(console, sent, node, pacs, deadline=started + _LIMIT_S)
        lines = reconcile(sent, node, pacs)
        told = summary(lines, pacs, node, seconds=time.monotonic() - started)
        (out / "summary.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        write_report(out / "report.html", lines, told)
        _tell(console, out, lines, told)
        if serve and sys.stdout.isatty():
            console.print(f"The node serves http://127.0.0.1:{ports[2]}/ until Ctrl-C.")
            while True:
                node.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Interrupted; stopping the node.")
        if not (out / "summary.json").exists():
            return 130
    finally:
        # A second Ctrl-C must not leave children behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        node.stop()
        pacs.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return int(any(told[name] for name in _FAULTS))


def _open(console: Console, out: Path, pacs: MiniPacs, node: DemoNode, seed: int) -> list[Sent]:
    """Start both nodes, make the images meanwhile, and echo both ways."""
    console.print(
        f"[bold]ra-daemon demo[/bold]: everything is written under {out}/. "
        "All images are generated; no patient, no network."
    )
    pacs.start()
    node.start()
    with ThreadPoolExecutor(1) as pool, console.status("starting the node, making radiographs"):
        making = pool.submit(modality.make, out / "radiographs", seed)
        us = Config(node=Node(ae_title=modality.AE_TITLE))
        ours = Peer(name="the node", ae_title=AE_TITLE, port=node.config.node.port)
        _until(lambda: _answers(us, ours), 60, node.check)
        scu.echo(node.config, node.config.peer[0])
        sent = making.result()
    console.print("C-ECHO: the modality reaches the node, the node reaches the mini PACS.")
    return sent


def _work(
    console: Console, sent: Sequence[Sent], node: DemoNode, pacs: MiniPacs, *, deadline: float
) -> None:
    """Send, kill the scorer in the middle, wait until both sides are at rest."""
    paths = [s.path for s in sent]
    with console.status("the modality sends") as shown:

        def settled() -> int:
            counts = node.counts()
            shown.update(
                f"received {counts['received']}, queued {counts['queued']}, in work "
                f"{counts['leased']}, scored {counts['scored']}, refused {counts['refused']}, "
                f"objects in the PACS {len(pacs.files())}"
            )
            return int(counts["scored"] + counts["refused"])

        _send(node, paths[:_FIRST])
        _until(lambda: settled() >= 1, deadline - time.monotonic(), node.check)
        _send(node, paths[_FIRST:])
        _crash(console, node, deadline)
        # Not strict: when time is up, the comparison tells what is missing.
        _until(
            lambda: settled() >= len(sent) and _at_rest(node),
            deadline - time.monotonic(),
            node.check,
            strict=False,
        )
    counts = node.counts()
    console.print(
        f"At rest: {counts['received']} received, {counts['scored']} scored, "
        f"{counts['refused']} refused, {counts['failed']} failed."
    )


def _crash(console: Console, node: DemoNode, deadline: float) -> None:
    """SIGKILL to the scorer while it works."""

    def working() -> bool:
        return node.counts()["leased"] > 0 and node.scorer_pid() is not None

    _until(working, min(5.0, deadline - time.monotonic()), node.check, strict=False)
    before = node.counts()
    pid = node.kill_scorer()
    if pid is None:
        raise DaemonError("The node has no scorer process to kill.", hint="Read node.log.")
    console.print(
        f"kill -9 {pid}: the scorer dies with {before['leased']} images in hand, "
        f"{before['scored']} scored."
    )
    _until(lambda: node.scorer_pid() not in (None, pid), deadline - time.monotonic(), node.check)
    console.print(f"The node has started another scorer, process {node.scorer_pid()}.")


def _send(node: DemoNode, paths: Sequence[Path]) -> None:
    refused = modality.send(node.config.node.port, AE_TITLE, paths)
    if refused:
        raise DaemonError(
            f"The node did not acknowledge {len(refused)} objects.", hint="Read node.log."
        )


def _at_rest(node: DemoNode) -> bool:
    counts = node.counts()
    open_work = ("queued", "leased", "due_reports", "pending_delivery")
    return not any(counts[name] for name in open_work)


def _answers(us: Config, peer: Peer) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((peer.host, peer.port)) != 0:
            return False
    try:
        scu.echo(us, peer)
    except PeerError:
        return False
    return True


def _until(
    condition: Callable[[], object],
    seconds: float,
    check: Callable[[], None],
    *,
    strict: bool = True,
) -> None:
    """Wait for a condition while the node lives."""
    end = time.monotonic() + seconds
    while not condition():
        check()
        if time.monotonic() > end:
            if strict:
                raise DaemonError("The demo took too long.", hint="Read node/node.log.")
            return
        time.sleep(0.05)


def _tell(console: Console, out: Path, lines: Sequence[Line], told: dict[str, Any]) -> None:
    names = ("subject", "visit", "truth", "score", "90 % interval", "band", "SR", "heatmap")
    table = Table(*names, box=None)
    for line in lines:
        if line.score is None:
            what = "refused" if line.reason_code else "no verdict"
            table.add_row(line.sent.what, "", "", what, line.reason_code, "", "", "")
            continue
        table.add_row(
            line.sent.subject or line.sent.what,
            str(line.sent.visit or ""),
            "" if line.sent.truth is None else f"{line.sent.truth:.0f}",
            f"{line.score:.1f}",
            f"{line.low:.0f} to {line.high:.0f}",
            line.band,
            "yes" if line.reports else "no",
            "yes" if line.captures else "no",
        )
    console.print(table)
    console.print(
        f"{told['sent']} sent, {told['scored']} scored, {told['refused']} refused, "
        f"{told['lost']} lost, {told['duplicates']} doubled, {told['unexpected']} unexpected, "
        f"{told['seconds']:.0f} s; "
        f"{told['objects']} objects in the PACS, correlation with the truth {told['pcc']}."
    )
    for line in lines:
        if line.unexpected:
            named = f"subject {line.sent.subject}, visit {line.sent.visit}"
            console.print(
                f"[bold]Unexpected[/bold]: {named if line.sent.subject else line.sent.what}: "
                f"{line.verdict}, not {line.sent.expected}."
            )
    if told["seconds"] > _USUAL_S:
        console.print(
            f"[bold]Warning[/bold]: this took {told['seconds']:.0f} s, more than the usual "
            f"{_USUAL_S:.0f} s: the machine is slow or busy. Free two cores and play it again."
        )
    console.print("Demonstration model, trained on generated images: never for clinical use.")
    console.print(f"Look at {out / 'report.html'} and {out / 'summary.json'}.")
    console.print(
        "Next: ra-daemon init site --pacs NAME=AE@HOST:PORT, ra-daemon doctor, "
        "ra-daemon score FILE --out results"
    )


def _clear(out: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file.", hint="Give --out another name.")
    out.mkdir(parents=True, exist_ok=True)
    strange = sorted(p.name for p in out.iterdir() if p.name not in _OURS)
    if strange:
        raise ConfigError(
            f"{out} holds other things ({', '.join(strange[:3])}).", hint="Give --out a new folder."
        )
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
