"""ra-train export: manifest, card and hashes make a bundle of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("export")
@click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--version", required=True, help="Of both bundles, e.g. 1.0.0.")
def command(recipe: Path, out: Path, version: str) -> None:
    """Seal OUT/demo and OUT/locator; needs calibration.json and figures.json."""
    from ra_training import assemble, cards
    from ra_training import recipe as recipes

    tables = recipes.load(recipe)
    fitted = json.loads((out / "calibration.json").read_text())
    figures = json.loads((out / "figures.json").read_text())
    metrics = {k: v for k, v in figures.items() if isinstance(v, (int, float))}
    score = assemble.score_manifest(
        version, list(tables["scorer"]["members"]), fitted["hand"], fitted["both"],
        fitted["bands"], tuple(fitted["cam"]), assemble.provenance("scorer", tables["scorer"]),
        metrics,
    )  # fmt: skip
    where = assemble.locator_manifest(
        version,
        fitted["locator"]["distance"],
        assemble.provenance("locator", tables["locator"]),
        fitted["locator"],
    )
    for name, manifest, card in (
        ("demo", score, cards.scorer_card(version, tables, figures)),
        ("locator", where, cards.locator_card(version, tables, fitted["locator"])),
    ):
        click.echo(f"{name} {assemble.seal(out / name, manifest, card)}")
