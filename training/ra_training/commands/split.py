"""ra-train split: patients to sets and folds."""

from __future__ import annotations

from pathlib import Path

import click

from ra_training.data.readers import KINDS
from ra_training.errors import TrainingError


@click.command("split")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--kind", required=True, type=click.Choice(list(KINDS)), help="Layout.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", required=True, type=click.IntRange(0), help="Same seed, same split.")
@click.option("--fractions", default=(0.7, 0.15, 0.15), nargs=3, type=float, show_default=True)
@click.option("--folds", default=5, type=click.IntRange(1), show_default=True)
def command(
    folder: Path, kind: str, out: Path, seed: int, fractions: tuple[float, float, float], folds: int
) -> None:
    """Deal the patients of FOLDER; write OUT/split.csv and OUT/split.json and print the sha256."""
    from ra_training.commands.data import reading
    from ra_training.data.splits import SETS, split

    samples = reading(kind, folder).samples
    try:
        made = split(samples, seed=seed, fractions=fractions, folds=folds)
        digest = made.save(out)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    for name in SETS:
        own = [r for r in made.rows if r.part == name]
        people = len({(r.source, r.patient_id) for r in own})
        click.echo(f"{name}: {len(own)} images of {people} patients", err=True)
    click.echo(digest)
