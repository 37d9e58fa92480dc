"""ra-daemon plugins: list, check, new."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.errors import ConfigError

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1"
dependencies = ["ra-daemon"]

[project.entry-points."ra_daemon.scorers"]
{name} = "{module}:{kind}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

_MODULE = '''\
"""Scorer {name}: the mean grey value of the image."""

from ra_engine.contracts import API_VERSION
from ra_engine.types import Measurement, ModelRef

MODEL = ModelRef(
    bundle="{name}", version="0.1", digest="", engine="numpy", precision="fp32",
    preprocessing="", intended_use="research",
)


class {kind}:
    name = "{name}"
    api_version = API_VERSION
    needs = {{}}

    def score(self, batch, outputs):
        return [[self.finding(image.radiograph.pixels)] for image in batch.images]

    def finding(self, pixels):
        return Measurement(
            kind="{module}_mean", label="Mean grey value", value=float(pixels.mean()), units="1",
            code=("MEAN", "99{code}", "Mean grey value"), model=MODEL,
        )
'''

_TEST = """\
from ra_engine.testing import check_scorer

from {module} import {kind}


def test_the_scorer_keeps_its_contract():
    check_scorer({kind}())
"""


@click.group("plugins")
def command() -> None:
    """List, check and begin plugins."""


@command.command("list")
@config_option
@json_option
def list_plugins(config_path: Path | None, *, as_json: bool) -> None:
    """List scorers, backends and bundles; broken ones with the reason."""
    config = load(config_path, required=config_path is not None)
    rows = installed(config.scoring.plugins)
    if as_json:
        emit_json(rows)
    else:
        columns = ("group", "name", "origin", "state", "reason")
        emit_table(columns, [[row[c] for c in columns] for row in rows])


def installed(allowed: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row an entry point: group, name, origin, state (ok, broken, not allowed), reason."""
    from ra_daemon import plugins
    from ra_engine import registry

    scorers, broken = plugins.scorers(allowed)
    loaded = {
        registry.SCORERS: broken,
        registry.BACKENDS: registry.load_backends()[1],
        registry.BUNDLES: plugins.bundles()[1],
    }
    rows = []
    for group, broken in loaded.items():
        faults = {(b.name, b.origin): b.reason for b in broken}
        for point in registry.points(group):
            origin = registry.origin_of(point)
            state, reason = "ok", ""
            if (point.name, origin) in faults:
                state, reason = "broken", faults[point.name, origin]
            elif group == registry.SCORERS and point.name not in scorers:
                state = "not allowed"
            rows.append(
                {
                    "group": group,
                    "name": point.name,
                    "origin": origin,
                    "state": state,
                    "reason": reason,
                }
            )
    return rows


@command.command("check")
@click.argument("name")
@config_option
@click.pass_context
def check(ctx: click.Context, name: str, config_path: Path | None) -> None:
    """Run the contract's tests on the scorer NAME."""
    from ra_daemon import plugins
    from ra_engine.testing import check_scorer, sample_batch

    config = load(config_path, required=config_path is not None)
    scorers, broken = plugins.scorers()
    fault = next((b for b in broken if b.name == name), None)
    if fault is not None and name not in scorers:
        say(f"{name} from {fault.origin} is broken: {fault.reason}")
        ctx.exit(1)
    if name not in scorers:
        raise ConfigError(f"No scorer {name!r}; installed: {', '.join(sorted(scorers)) or 'none'}.")
    batch = sample_batch()
    outputs = _outputs(config, scorers[name], batch) if scorers[name].needs else {}
    check_scorer(scorers[name], outputs, batch=batch)
    say(f"{name} keeps its contract.")


def _outputs(config: Any, scorer: Any, batch: Any) -> Any:
    """What the graphs that serve the scorer give for the sample batch."""
    from ra_daemon import engines, plugins
    from ra_daemon.steps.score import bundles_beside
    from ra_engine.bundle import load_bundle
    from ra_engine.plan import plan

    bundle = load_bundle(plugins.bundle_path(config.scoring.bundle, config.root))
    serving = (bundle, *bundles_beside(bundle, [scorer]))
    models = [(b, engines.reference(b.graph, threads=1)) for b in serving]
    return plan([scorer], models).outputs(batch)


@command.command("new")
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
def new(name: str, folder: Path | None) -> None:
    """Write a working scorer with a test into FOLDER (default ./NAME)."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise click.BadParameter(f"{name!r}: use a-z, 0-9, _ and -", param_hint="NAME")
    target = folder or Path(name)
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty.", hint="Name a new folder.")
    module = name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "kind": "".join(part.capitalize() for part in module.split("_")) + "Scorer",
        "code": re.sub(r"[^A-Z0-9]", "", name.upper())[:12],
    }
    target.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("pyproject.toml", _PROJECT),
        (f"{module}.py", _MODULE),
        (f"test_{module}.py", _TEST),
    ):
        (target / file).write_text(text.format(**words), encoding="utf-8")
    click.echo(str(target))
    say(f"Next:\n  pip install -e {target}\n  ra-daemon plugins check {name}\n"
        f"then name it in a route: scorers = [..., \"{name}\"]")  # fmt: skip
