"""ra-daemon models build: engines for this machine, calibrated, gated and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_engine.errors import GateError, RaError
from ra_engine.spec import Precision

if TYPE_CHECKING:
    from ra_daemon.config import Config
    from ra_engine.build import BuiltEngine, Told
    from ra_engine.bundle import Bundle
    from ra_engine.cache import EngineCache
    from ra_engine.choose import Candidate
    from ra_engine.samples import Samples
    from ra_engine.selftest import SelfTestRow

    Build = tuple[Config, Candidate]

_COLUMNS = ("bundle", "engine", "precision", "device", "state", "gate", "seconds", "key")


@click.command("build")
@click.argument("name", required=False)
@click.option("--backend", help="Only this one; else all of [engine] backends.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Of --backend.")
@click.option("--device", help="GPU, e.g. cuda:1; else [engine] device, or all of devices.")
@click.option("--force", is_flag=True, help="Build again what is there.")
@click.option("--self-test", is_flag=True, help="Print a table of what runs here, to send to us.")
@config_option
@json_option
@click.pass_context
def build_command(
    ctx: click.Context, name: str | None, backend: str | None, precision: Precision | None,
    device: str | None, config_path: Path | None,
    *, force: bool, self_test: bool, as_json: bool,
) -> None:  # fmt: skip
    """Build and gate the engines of bundle NAME (else the one in use) on this machine.

    Each engine must say what the FP32 reference says on stored generated images, or it is not used.
    Exit status 1 when one cannot be built or fails its gate.
    """
    config = load(config_path, required=config_path is not None)
    if device is not None:
        config = config.model_copy(
            update={"engine": config.engine.model_copy(update={"device": device, "devices": ()})}
        )
    if precision is not None and backend is None:
        raise click.UsageError("--precision needs --backend.")
    with _progress(quiet=as_json) as told:
        if self_test:
            text, tests = _self_test(config, name, backend, precision, told)
            emit_json([asdict(row) for row in tests]) if as_json else click.echo(text, nl=False)
            ctx.exit(int(not all(row.passed for row in tests)))
        rows = list(build_rows(config, name, backend, precision, force=force, told=told))
    if as_json:
        emit_json(rows)
    else:
        emit_table(_COLUMNS, [[row[c] for c in _COLUMNS] for row in rows])
        for row in rows:
            if row["hint"]:
                say(f"{row['engine']}: {row['hint']}")
    ctx.exit(int(any(row["state"] not in ("built", "cached", "reference") for row in rows)))


def build_rows(
    config: Config, name: str | None, backend: str | None, precision: Precision | None,
    *, force: bool, told: Told,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Build every candidate; one row each, with the fault where there is one."""
    from ra_daemon import engines, plugins
    from ra_engine.bundle import load_bundle
    from ra_engine.cache import EngineCache
    from ra_engine.choose import Candidate

    bundle = load_bundle(plugins.bundle_path(name or config.scoring.bundle, config.root))
    wanted = engines.order_of(config)
    if backend is not None:
        chosen = precision or config.engine.precision
        wanted = (Candidate(backend=backend, precision=chosen),)
    cache = EngineCache(config.root / "engines")
    builds = tuple(_builds(config, wanted))
    samples = _samples(config, bundle, cache, builds, told, force=force)
    for on_device, candidate in builds:
        yield _row(on_device, bundle, cache, samples, candidate, force=force, told=told)


def _builds(config: Config, wanted: Sequence[Candidate]) -> Iterator[Build]:
    """Each candidate with the configuration of its device: one on a GPU is built for every GPU."""
    from ra_engine.registry import load_backends

    found, _broken = load_backends([c.backend for c in wanted])
    for candidate in wanted:
        backend = found.get(candidate.backend)
        on_gpu = backend is not None and backend.family == "cuda"
        for index in range(max(1, len(config.engine.devices)) if on_gpu else 1):
            yield config.of_scorer(index), candidate


def _row(
    config: Config, bundle: Bundle, cache: EngineCache, samples: Samples, candidate: Candidate,
    *, force: bool, told: Told,
) -> dict[str, Any]:  # fmt: skip
    row: dict[str, Any] = dict.fromkeys(_COLUMNS, "")
    row |= {"bundle": bundle.name, "engine": str(candidate), "precision": candidate.precision}
    row |= {"hint": "", "figures": None}
    try:
        made = _built(config, bundle, cache, samples, candidate, force=force, told=told)
    except RaError as error:
        return row | {
            "state": "failed its gate" if isinstance(error, GateError) else str(error),
            "gate": str(error) if isinstance(error, GateError) else "",
            "hint": error.hint,
        }
    if made is None:
        return row | {"state": "reference", "device": "cpu"}
    record = made.record
    return row | {
        "engine": record.session_key,
        "device": record.device,
        "state": "built" if made.fresh else "cached",
        "gate": record.gate.words,
        "figures": asdict(record.gate),
        "seconds": record.seconds,
        "key": record.key,
    }


def _built(
    config: Config, bundle: Bundle, cache: EngineCache, samples: Samples, candidate: Candidate,
    *, force: bool, told: Told,
) -> BuiltEngine | None:  # fmt: skip
    """The engine; None for the reference, which is the bundle's own file."""
    from ra_daemon import engines
    from ra_engine.build import build, is_reference
    from ra_engine.wall import wall

    backend = engines.backend_named(candidate.backend)
    spec = replace(engines.spec_of(config), precision=candidate.precision)
    if is_reference(backend, spec):
        return None
    told(f"building {candidate}", 0, 1)
    reference = engines.reference(bundle.graph, threads=spec.threads)
    with wall(candidate.backend):
        return build(bundle.graph, spec, backend, cache, samples, reference, told=told, force=force)


def _samples(
    config: Config, bundle: Bundle, cache: EngineCache, builds: Sequence[Build], told: Told,
    *, force: bool,
) -> Samples:  # fmt: skip
    """The gate's images, and the calibration's where an INT8 engine is to be made of them."""
    from ra_daemon import engines, plugins
    from ra_daemon.commands.samples import draw_samples
    from ra_engine.bundle import load_bundle
    from ra_engine.choose import samples_path
    from ra_engine.errors import EngineFileError
    from ra_engine.locate import Locator
    from ra_engine.samples import load_samples, save_samples

    path = samples_path(cache, bundle)
    with cache.lock(path.stem):
        held = None
        try:
            held = load_samples(path)
        except EngineFileError:
            path.unlink(missing_ok=True)
        calibrate = any(_calibrated(bundle, cache, b, held, force=force) for b in builds)
        if held is not None and not calibrate:
            return held
        finder = load_bundle(plugins.bundle_path(config.scoring.locator, config.root))
        threads = engines.spec_of(config).threads
        locator = Locator(engines.reference(finder.graph, threads=threads), finder)
        drawn = draw_samples(bundle, locator, calibrate=calibrate, told=told)
        save_samples(path, drawn)
    return drawn


def _calibrated(
    bundle: Bundle, cache: EngineCache, made: Build, held: Samples | None, *, force: bool
) -> bool:
    """Whether this build will ask for calibration images: INT8 that the cache does not hold."""
    from ra_daemon import engines
    from ra_engine.build import is_built
    from ra_engine.wall import wall

    config, candidate = made
    if candidate.precision != "int8":
        return False
    spec = replace(engines.spec_of(config), precision=candidate.precision)
    try:
        backend = engines.backend_named(candidate.backend)
        with wall(candidate.backend):
            backend.facts(spec)
        if force or held is None or not held.calibration_digest:
            return True
        return not is_built(bundle.graph, spec, backend, cache, held)
    except RaError:
        return False  # it cannot be built here at all; its row says why


def _self_test(
    config: Config, name: str | None, backend: str | None, precision: Precision | None, told: Told
) -> tuple[str, tuple[SelfTestRow, ...]]:
    """Every installed backend in every precision, whatever [engine] backends names."""
    from ra_daemon import plugins
    from ra_daemon.commands import selftest
    from ra_engine.bundle import load_bundle
    from ra_engine.cache import EngineCache

    bundle = load_bundle(plugins.bundle_path(name or config.scoring.bundle, config.root))
    cache = EngineCache(config.root / "engines")
    here = selftest.machine(config, bundle, backend, precision)
    builds = [(config, candidate) for candidate in here.candidates]
    samples = _samples(config, bundle, cache, builds, told, force=True)
    return selftest.report(config, bundle, cache, samples, here, told)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Told]:
    """Bars on standard error, one a stage."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def told(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=of)
                if not console.is_terminal and not quiet:
                    say(stage)
            bars.update(tasks[stage], completed=done)

        yield told
