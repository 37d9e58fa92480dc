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
    help="Folder with the bundles demo and locator.",
)
@click.option("--n", default=200, type=click.IntRange(2), help="Generated two-hand images.")
@click.option("--seed", default=990_002, type=click.IntRange(0), help="Never trained on.")
@click.option(
    "--real",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of real images; measured, never trained on.",
)
@click.option("--processes", default=2, type=click.IntRange(1))
def command(bundles: Path, n: int, seed: int, real: Path | None, processes: int) -> None:
    """Score generated images before and after changes; print the table as JSON."""
    from ra_engine.bundle import load_bundle
    from ra_training.errors import TrainingError
    from ra_training.robustness.measure import LEVEL, measure

    demo, locator = load_bundle(bundles / "demo"), load_bundle(bundles / "locator")
    try:
        found = measure(demo.graph, locator.graph, demo.manifest, n, seed, processes=processes)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    out: dict[str, Any] = {
        "images": "generated", "bar": LEVEL,
        "changes": [asdict(r) | {"holds": r.holds} for r in found],
    }  # fmt: skip
    if real is not None:
        try:
            out["distance"] = _distance(locator.graph, real, seed)
        except TrainingError as error:
            raise click.ClickException(f"{error.code}: {error}") from error
    click.echo(json.dumps(out, indent=1))


def _distance(locator: Path, folder: Path, seed: int) -> dict[str, float]:
    """Real against generated hands and wrists, and generated against themselves."""
    from ra_engine.types import Radiograph
    from ra_training.phantom import (
        render_exposure,
        render_nonhand,
        sample_grades,
        subject_seed,
    )
    from ra_training.robustness.distance import beside_itself, embeddings, frechet, real_images

    real = real_images(folder)
    own = [subject_seed(seed, i) for i in range(2 * len(real))]
    hands = [render_exposure(s, sample_grades(s), hands="right", height=400) for s in own]
    wrists = [render_nonhand("wrist", s, height=400) for s in own]
    features = {
        name: embeddings(
            locator,
            [Radiograph(pixels=e.pixels, inverted=e.photometric == "MONOCHROME1") for e in shots],
        )
        for name, shots in (("hands", hands), ("wrists", wrists))
    }
    true = embeddings(locator, real)
    n = len(real)
    return {
        "n": n,
        **{f"real_to_generated_{k}": frechet(true, v[:n]) for k, v in features.items()},
        **{f"generated_{k}_to_themselves": beside_itself(v, n) for k, v in features.items()},
    }
