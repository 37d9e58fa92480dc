"""ra-train explain: do heatmaps lie on damage?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("explain")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--n", default=100, type=click.IntRange(2), help="Generated subjects.")
@click.option("--seed", default=990_001, type=click.IntRange(0), help="Never trained on.")
@click.option("--prior", default="clinic", type=click.Choice(["clinic", "early", "flat"]))
@click.option("--size", nargs=2, type=int, default=(256, 320), help="Rows, columns of MEMBER.")
@click.option("--unit", default="image", type=click.Choice(["image", "hand"]), help="Of MEMBER.")
@click.option("--library", is_flag=True, help="Methods of pytorch-grad-cam beside ours (MEMBER).")
def command(
    model: Path, n: int, seed: int, prior: str, size: tuple[int, int], unit: str, *, library: bool
) -> None:
    """Share of energy inside damaged joints against their area, and pointing game.

    MODEL is a bundle's folder, or the member.safetensors of a run, for which every method is
    compared.
    """
    from ra_engine.prepare import Preprocessing
    from ra_training.study.scenes import scenes

    if model.is_dir():
        from ra_training.study.bundles import explained

        found = {"graph": explained(model, n, seed, prior)}  # type: ignore[arg-type]
    else:
        from ra_training.study.heatmaps import compare_library, compare_methods

        kind = "letterbox" if unit == "image" else "hand_view"
        spec = Preprocessing(kind=kind, rows=size[0], columns=size[1])  # type: ignore[arg-type]
        shown = scenes(n, seed, spec, prior=prior)  # type: ignore[arg-type]
        found = dict(compare_methods(model, shown))
        if library:
            found |= compare_library(model, shown)
    out = {k: asdict(e) | {"gain": e.gain} for k, e in found.items()}
    click.echo(json.dumps({"images": "generated", "maps": out}, indent=1))
