"""ra-train calibrate: graphs from trained weights, and tables from held-out images."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("calibrate")
@click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--runs", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
def command(recipe: Path, runs: Path, out: Path) -> None:
    """Write OUT/demo/graph.onnx, OUT/locator/graph.onnx and OUT/calibration.json."""
    from ra_training import recipe as recipes
    from ra_training.figures import calibration

    found = calibration(recipes.load(recipe), runs, out)
    (out / "calibration.json").write_text(json.dumps(found, indent=1, sort_keys=True))
    click.echo(f"calibrated on {found['both']['n']} images", err=True)
