"""ra-train robustness: what must not move a score, and the distance to real images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click


@click.command("robustness")
@click.option(
    "--bundles",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="Folder with the bundles of the score and of the locator.",
)
@click.option("--bundle", default="demo", help="Name of the score bundle's folder [demo].")
@click.option("--n", default=200, type=click.IntRange(2), help="Generated two-hand images.")
@click.option("--seed", default=990_002, type=click.IntRange(0), help="Never trained on.")
@click.option(
    "--real",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of real images; measured, never trained on. May be given again.",
)
@click.option("--processes", default=2, type=click.IntRange(1))
def command(
    bundles: Path, bundle: str, n: int, seed: int, real: tuple[Path, ...], processes: int
) -> None:
    """Score generated images before and after changes; print the table as JSON."""
    from ra_engine.bundle import load_bundle
    from ra_training.errors import TrainingError
    from ra_training.robustness.measure import CAST, LEVEL, measure

    own, locator = load_bundle(bundles / bundle), load_bundle(bundles / "locator")
    try:
        found = measure(own.graph, locator.graph, own.manifest, n, seed, processes=processes)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    out: dict[str, Any] = {
        "bundle": f"{own.manifest.name} {own.manifest.version}", "images": "generated",
        "bar": LEVEL,
        "changes": [asdict(r) | {"holds": r.holds} for r in found if r.change != CAST],
        "beyond": [asdict(r) for r in found if r.change == CAST],
    }  # fmt: skip
    try:
        if real:
            out["distance"] = {
                folder.name: _distance(locator.graph, folder, seed) for folder in real
            }
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    click.echo(json.dumps(out, indent=1))


def _distance(locator: Path, folder: Path, seed: int) -> dict[str, float]:
    """Real images against generated ones of their size, and generated ones against themselves."""
    from ra_training.robustness.distance import (
        beside_itself,
        embeddings,
        frechet,
        generated,
        like,
        real_images,
    )

    real = real_images(folder)
    n = len(real)
    true = embeddings(locator, real)
    out: dict[str, float] = {"n": n}
    for kind, shots in generated(2 * n, seed).items():
        own = embeddings(locator, [like(s, real[i % n]) for i, s in enumerate(shots)])
        out[f"real_to_generated_{kind}"] = frechet(true, own[:n])
        out[f"generated_{kind}_to_themselves"] = beside_itself(own, n)
    return out
