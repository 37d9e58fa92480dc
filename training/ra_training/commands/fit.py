"""ra-train fit: train the networks of one bundle by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("fit")
@click.argument("what", type=click.Choice(["scorer", "fine", "locator"]))
@click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--warm", type=click.Path(path_type=Path, exists=True), help="First stage of FINE.")
@click.option("--minutes", default=120.0, help="Time limit of each network.")
@click.option("--threads", default=2, help="Compute threads.")
def command(
    what: str, recipe: Path, out: Path, warm: Path | None, minutes: float, threads: int
) -> None:
    """Train WHAT into OUT; a run that was cut off goes on from its last checkpoint."""
    import torch

    from ra_training import recipe as recipes

    torch.set_num_threads(threads)
    tables = recipes.load(recipe)
    if what == "locator":
        _locator(tables["locator"], out, minutes)
        return
    if what == "fine" and warm is None:
        raise click.UsageError("fit fine needs --warm: the folder of the first stage.")
    _scorer(tables[what], tables["scorer"], out, warm, minutes)


def _scorer(
    table: dict[str, Any], first: dict[str, Any], out: Path, warm: Path | None, minutes: float
) -> None:
    from ra_training.scorer.crops import cached_crops
    from ra_training.scorer.train import Member

    crops = cached_crops(out, table["subjects"], table["seed"], table["priors"])
    for trunk in table["members"]:
        # A second stage keeps the first stage's folder name: what follows finds either.
        name = f"{trunk}-{first['steps'][trunk]}"
        steps = table["steps"][trunk]
        member = Member(
            trunk, out / name, seed=table["weights_seed"], steps=steps, peak=table["peak"]
        )
        if warm is not None:
            member.start_from(warm / name / "last.safetensors")
        member.fit(crops, batch=table["batch"], minutes=minutes)
        click.echo(f"{trunk}: {member.step} of {steps} steps", err=True)


def _locator(table: dict[str, Any], out: Path, minutes: float) -> None:
    from ra_training.locator.scenes import cached_scenes
    from ra_training.locator.train import fit

    scenes = cached_scenes(out, table["scenes"], table["seed"])
    fit(
        scenes,
        out / f"locator-{table['steps']}",
        seed=table["weights_seed"],
        steps=table["steps"],
        batch=table["batch"],
        peak=table["peak"],
        minutes=minutes,
    )
