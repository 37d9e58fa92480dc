"""ra-train export: graph, manifest, card and hashes make a bundle of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ra_training.zoo.cam import Method


@click.command("export")
@click.option(
    "--recipe",
    type=click.Path(path_type=Path, exists=True),
    help="Of the shipped bundles: seal OUT/demo and OUT/locator, after calibrate and evaluate.",
)
@click.option(
    "--study",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Output of a finished reproduce: its stack becomes OUT/NAME.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--version", required=True, help="Of the bundles, e.g. 1.0.0.")
@click.option("--name", default="study", show_default=True, help="Of a study's bundle.")
@click.option("--cache", type=click.Path(path_type=Path), help="Of prepared images [STUDY/cache].")
@click.option(
    "--use",
    type=click.Choice(["demonstration", "research"]),
    help="Intended use of a study's bundle. Default: research, of generated images demonstration.",
)
@click.option("--licence", default="", help="Of weights from real images, as their data bind it.")
@click.option(
    "--cam",
    type=click.Choice(["gradcam", "hirescam", "layercam"]),
    help="Heatmap of a study's bundle. Default: hirescam.",
)
def command(
    recipe: Path | None, study: Path | None, out: Path, version: str, name: str,
    cache: Path | None, use: str | None, licence: str, cam: Method | None,
) -> None:  # fmt: skip
    """Make bundles that ra-daemon runs, of the shipped recipe or of a study of your own."""
    if (recipe is None) == (study is None):
        raise click.UsageError("Give either --recipe or --study.")
    if recipe is not None:
        if cam is not None:
            raise click.UsageError("--cam is of a study; the recipe's map is its own.")
        _shipped(recipe, out, version)
        return
    assert study is not None
    from ra_training.errors import TrainingError
    from ra_training.study import config
    from ra_training.study.export import export
    from ra_training.study.sets import open_sets

    try:
        table = config.load(study / "study.json")
        sets = open_sets(table, cache or study / "cache")
        made = export(
            table, sets, study, out, name=name, version=version, intended_use=use or "",
            licence=licence, cam=cam or "hirescam",
        )  # fmt: skip
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    click.echo(str(made))


def _shipped(recipe: Path, out: Path, version: str) -> None:
    """Seal the demonstration bundle and the locator."""
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
        ("locator", where, cards.locator_card(version, tables, fitted["locator"], figures)),
    ):
        click.echo(f"{name} {assemble.seal(out / name, manifest, card)}")
