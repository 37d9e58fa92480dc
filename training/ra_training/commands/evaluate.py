"""ra-train evaluate: figures on images that no weight and no table has seen."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("evaluate")
@click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, exists=True))
def command(recipe: Path, out: Path) -> None:
    """Measure the graphs under OUT; write OUT/figures.json and print it."""
    from ra_training import recipe as recipes
    from ra_training.figures import measured

    both = json.loads((out / "calibration.json").read_text())["both"]
    found = measured(recipes.load(recipe), out, both)
    text = json.dumps(found, indent=1, sort_keys=True)
    (out / "figures.json").write_text(text)
    click.echo(text)
