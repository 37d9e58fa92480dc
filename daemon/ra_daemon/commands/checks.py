"""The checks of ra-daemon doctor: each yields what it found and, for a fault, the remedy."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ra_daemon.commands.common import running_pid, sqlite_path
from ra_engine.errors import RaError

if TYPE_CHECKING:
    from ra_daemon.config import Config
    from ra_daemon.engines import EngineState
    from ra_daemon.scorers import ScorerState

_EARLIEST = 1_767_225_600  # 2026-01-01: a clock before this program was written is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line: ``remedy`` is empty when all is well, and only then."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.ok == bool(self.remedy.strip()):
            raise ValueError(f"Check {self.name}: a fault names its remedy, and nothing else does.")


def _check(name: str, *, ok: bool, found: str, remedy: str) -> Check:
    return Check(name=name, ok=ok, found=found, remedy="" if ok else remedy)


def python() -> Iterator[Check]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    yield _check("python", ok=ok, found=version, remedy="Install Python 3.11 or newer.")


def permissions(config_path: Path | None) -> Iterator[Check]:
    """The configuration file: not writable by others."""
    from ra_daemon import settings

    path = settings.locate(config_path)
    if path is None:
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    yield _check("config", ok=not mode & 0o022, found=f"{path}, mode {mode:04o}",
                 remedy=f"Run chmod 640 {path}: others may change it.")  # fmt: skip


def idle_keys(config_path: Path | None) -> Iterator[Check]:
    """Keys that can have no effect, or a second time the same one."""
    from ra_daemon import contradictions, settings

    for told in contradictions.idle(settings.written(config_path)):
        remedy = f"In the configuration: {told.remedy}."
        yield Check(name="keys", ok=False, found=told.fault, remedy=remedy)


def ports(config: Config) -> Iterator[Check]:
    """The DICOM port: free, or ours."""
    from ra_daemon.dicom import port

    number, pid = config.node.port, running_pid(config)
    if pid is not None:
        yield _check("port", ok=True, found=f"{number}, node runs as process {pid}", remedy="")
        return
    try:
        port.claim(config.node, patience_s=0)
    except port.ListenError as error:
        yield _check("port", ok=False, found=str(error), remedy=error.hint)
    else:
        yield _check("port", ok=True, found=f"{number} is free", remedy="")


def web(config: Config) -> Iterator[Check]:
    """Pages stay on this machine, unless the file says that they may leave it."""
    from ra_daemon.dicom import port
    from ra_daemon.web.server import is_loopback

    if not config.web.enabled:
        return
    inside, allowed = is_loopback(config.web.host), config.web.allow_remote
    words = f"{config.web.host}:{config.web.port}"
    words += "" if inside else f", without a password, allow_remote = {str(allowed).lower()}"
    if (inside or allowed) and running_pid(config) is None:
        try:
            port.probe(config.web.host, config.web.port)
        except OSError as error:
            yield _check("web", ok=False, found=f"{words}: {error.strerror}",
                         remedy="The pages are not served: stop what listens there, or set "
                         "web.host and web.port to what is free.")  # fmt: skip
            return
    yield _check("web", ok=inside or allowed, found=words,
                 remedy="The pages are not served: set web.host = \"127.0.0.1\", or guard the "
                 "network and set web.allow_remote = true.")  # fmt: skip


def database_state(config: Config) -> Iterator[Check]:
    """It answers, and has this program's version."""
    from ra_daemon.store import schema
    from ra_daemon.store.engine import open_engine

    path = sqlite_path(config)
    if path is not None and path.exists() and not path.is_file():
        yield _check("database", ok=False, found=f"{path} is no file",
                     remedy="Move it away, or correct store.url.")  # fmt: skip
        return
    if path is not None and not path.is_file():
        schema.check_lost(None, config.root)
        yield _check("database", ok=True, found="none yet; ra-daemon start makes it", remedy="")
        return
    engine = open_engine(config.database_url)
    try:
        there, program = schema.revisions(engine)
    finally:
        engine.dispose()
    schema.check_lost(there, config.root)
    kind = "SQLite" if path is not None else "PostgreSQL"
    yield _check("database", ok=there in (program, None),
                 found=f"{kind}, version {there}, program {program}",
                 remedy="Make a backup, then run ra-daemon db upgrade.")  # fmt: skip


def reconciliation(config: Config) -> Iterator[Check]:
    """Rows, files and counts agree."""
    from ra_daemon.commands.common import database
    from ra_daemon.store import reconcile
    from ra_daemon.store.objects import ObjectStore

    path = sqlite_path(config)
    if path is not None and not path.is_file():
        return
    objects = ObjectStore(config.root)
    with database(config) as engine:
        found = [*reconcile.rows(engine, objects), *reconcile.files(engine, objects)]
    if not found:
        yield Check(name="reconciliation", ok=True, found="rows, files and counts agree")
    for one in found:
        some = f": {', '.join(one.examples)}" if one.examples else ""
        yield Check(name=one.code, ok=False, found=f"{one.number}{some}", remedy=one.remedy)


def disk(config: Config) -> Iterator[Check]:
    """Free space above the reserve, and a root that we may write."""
    from ra_daemon.errors import ConfigError
    from ra_daemon.settings import check_root

    folder = config.root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield _check("disk", ok=free >= config.store.least_free,
                 found=f"{free / 2**30:.2f} GB free, reserve {config.store.reserve_gb:g} GB",
                 remedy="Free space or lower store.reserve_gb: images are refused.")  # fmt: skip
    usable, remedy = os.access(folder, os.W_OK), f"Let this user write {folder}."
    try:
        check_root(config)
    except ConfigError as error:
        usable, remedy = False, error.hint
    yield _check("root", ok=usable, found=str(config.root), remedy=remedy)


def clock(config: Config) -> Iterator[Check]:
    """Plausible, and with PostgreSQL the same as the database's."""
    now = time.time()
    ok, found = now > _EARLIEST, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if ok and sqlite_path(config) is None:
        from ra_daemon.store.clock import database_now
        from ra_daemon.store.engine import read_only

        engine = read_only(config.database_url)
        try:
            with engine.connect() as conn:
                apart = abs(database_now(conn).timestamp() - time.time())
        finally:
            engine.dispose()
        ok, found = apart < 5, f"{found}, {apart:.1f} s from the database's"
    yield _check("clock", ok=ok, found=found, remedy="Set the clock; run NTP.")


def bundles(config: Config) -> Iterator[Check]:
    """The bundles in use are what was signed off, and the scoring ones give a score."""
    from ra_daemon import models

    for key, name in models.used(config).items():
        try:
            bundle = models.load(key, name, config.root)
        except RaError as error:
            yield Check(name=key, ok=False, found=str(error), remedy=error.hint)
            continue
        use = bundle.manifest.intended_use
        found = f"{bundle.name} {bundle.version}, {use}, verified"
        yield _check(key, ok=True, found=found, remedy="")


def engine(config: Config) -> Iterator[Check]:
    """What running scorers have; without a running one, the engine that a start would choose.

    A second engine is never loaded beside theirs: a full GPU would refuse it.
    """
    from ra_daemon import engines, plugins, scorers
    from ra_engine.bundle import load_bundle

    running = list(scorers.states(config.root)) if running_pid(config) is not None else []
    for told in running:
        yield from _scorer(config, told)
    if running:
        return
    bundle = load_bundle(plugins.bundle_path(config.scoring.bundle, config.root))
    state = engines.state_of(engines.chosen(config, bundle))
    yield from _engine("engine", state)


def _scorer(config: Config, told: ScorerState) -> Iterator[Check]:
    """One role of a running scorer."""
    from ra_daemon import engines

    if told.fault is not None:
        yield Check(name=told.name, ok=False, found=told.fault.message, remedy=told.fault.hint)
        return
    if told.engine is None:
        yield Check(name=told.name, ok=True, found=told.words)
        return
    yield from _engine(told.name, told.engine)
    order = tuple(str(c) for c in engines.order_of(config))
    if order != told.order:
        yield Check(name=f"{told.name} order", ok=False,
                    found=f"started with {', '.join(told.order)}",
                    remedy=f"[engine] is now {', '.join(order)}: restart the node.")  # fmt: skip


def _engine(name: str, state: EngineState) -> Iterator[Check]:
    """What was passed over, and what is used."""
    from ra_daemon import engines

    for passed in state.passed:
        found = f"passed over{engines.standing_of(passed.candidate)}: {passed.message}"
        yield Check(name=f"engine {passed.candidate}", ok=False, found=found, remedy=passed.hint)
    words = f"{state.engine}, {state.precision} on {state.device}"
    words += engines.standing_of(state.candidate)
    yield Check(name=name, ok=True,
                found=f"{words}, gate: {state.gate}" if state.gate else words)  # fmt: skip


def decoder(config: Config) -> Iterator[Check]:
    """The decoder that goes first, and what stands behind it."""
    from importlib.util import find_spec

    from ra_daemon.dicom import nvimgcodec
    from ra_daemon.errors import DecoderError

    behind = "imagecodecs, pydicom" + (" with GDCM" if find_spec("gdcm") else "")
    if config.scoring.decoder == "imagecodecs":
        yield _check("decoder", ok=True, found=behind, remedy="")
        return
    try:
        nvimgcodec.load(int(config.engine.device.partition(":")[2]))
    except DecoderError as error:
        found = f"passed over: {error} {behind} decode."
        yield Check(name="decoder", ok=False, found=found, remedy=error.hint)
        return
    yield _check("decoder", ok=True, found=f"nvimgcodec ({nvimgcodec.STANDING}), {behind}",
                 remedy="")  # fmt: skip


def plugins_state(config: Config) -> Iterator[Check]:
    """Scorers: usable, broken, and those that a route names; bundles and backends: broken ones."""
    from ra_daemon import plugins
    from ra_engine import registry

    scorers, broken = plugins.scorers(config.scoring.plugins)
    yield _check("plugins", ok=True, found=", ".join(sorted(scorers)) or "none", remedy="")
    kinds = (
        ("plugin", broken, "Update or remove it, or narrow scoring.plugins."),
        ("bundle", plugins.bundles(config.root)[1], "Update or remove that distribution."),
        ("backend", registry.load_backends()[1], "Update or remove that distribution."),
    )
    for kind, faults, remedy in kinds:
        for fault in faults:
            found = f"{fault.origin}: {fault.reason}"
            yield Check(name=f"{kind} {fault.name}", ok=False, found=found, remedy=remedy)
    yield from _offered_bundles()
    for route in config.route:
        missing = sorted(set(route.scorers) - set(scorers))
        if missing:
            yield Check(name=f"route {route.name}", ok=False,
                        found=f"names {', '.join(missing)}",
                        remedy="Install that plugin, or correct the route's scorers.")  # fmt: skip


def _offered_bundles() -> Iterator[Check]:
    """Bundles that distributions offer: one that cannot be trusted serves no scorer."""
    from ra_engine import registry
    from ra_engine.bundle import load_bundle

    for name, path in registry.load_bundles()[0].items():
        try:
            load_bundle(path)
        except RaError as error:
            yield Check(name=f"bundle {name}", ok=False, found=str(error), remedy=error.hint)


def fonts() -> Iterator[Check]:
    """Words can be drawn on the heatmap."""
    from PIL import ImageFont

    try:
        found, ok = type(ImageFont.load_default(16)).__name__, True
    except (OSError, ImportError) as error:
        found, ok = str(error), False
    yield _check("fonts", ok=ok, found=found, remedy="Install Pillow with FreeType.")


def tls(config: Config) -> Iterator[Check]:
    """The files of [tls], where they are used."""
    from ra_daemon.dicom.tls import client_context, server_context

    called = [p for p in config.peer if p.tls]
    if not (config.tls.enabled or called):
        return
    server_context(config.tls)
    for peer in called:
        client_context(config.tls, peer)
    yield Check(name="tls", ok=True, found=f"TLS {config.tls.minimum} or newer")
    if config.tls.key is not None:
        mode = stat.S_IMODE(config.tls.key.stat().st_mode)
        yield _check(
            "tls key",
            ok=not mode & 0o077,
            found=f"mode {mode:o}",
            remedy=f"chmod 600 {config.tls.key}",
        )


def peers(config: Config) -> Iterator[Check]:
    """Each peer answers; our own node, when it runs, answers as the peers see it."""
    from ra_daemon.config import Peer
    from ra_daemon.dicom import scu

    for peer in config.peer:
        if not peer.send:
            continue
        where = f"{peer.ae_title} at {peer.host}:{peer.port}"
        try:
            scu.echo(config, peer)
        except RaError as error:
            yield Check(name=f"peer {peer.name}", ok=False, found=str(error), remedy=error.hint)
        else:
            yield Check(name=f"peer {peer.name}", ok=True, found=f"{where} answers")
    if running_pid(config) is None or not config.peer:
        return
    host = "127.0.0.1" if config.node.host in ("0.0.0.0", "::") else config.node.host
    us = Peer(
        name="this node",
        ae_title=config.node.ae_title,
        host=host,
        port=config.node.port,
        tls=config.tls.enabled,
    )
    caller = config.peer[0].ae_title
    as_peer = config.model_copy(
        update={"node": config.node.model_copy(update={"ae_title": caller})}
    )
    try:
        scu.echo(as_peer, us)
    except RaError as error:
        yield Check(name="way in", ok=False, found=str(error),
                    remedy=f"Called as {caller} from this machine: networks of the peer may not "
                    "hold 127.0.0.1, which is in order; ask the PACS to echo us.")  # fmt: skip
    else:
        yield Check(name="way in", ok=True, found=f"we answer {caller}")
