"""ra-train fit: train the networks of one bundle by a recipe."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("fit")
@click.argument("what", type=click.Choice(["scorer", "locator"]))
@click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--minutes", default=120.0, help="Time limit of each network.")
@click.option("--threads", default=2, help="Compute threads.")
def command(what: str, recipe: Path, out: Path, minutes: float, threads: int) -> None:
    """Train WHAT into OUT; a run that was cut off goes on from its last checkpoint."""
    import torch

    from ra_training import recipe as recipes

    torch.set_num_threads(threads)
    table = recipes.load(recipe)[what]
    if what == "scorer":
        _scorer(table, out, minutes)
    else:
        _locator(table, out, minutes)


def _scorer(table: dict[str, object], out: Path, minutes: float) -> None:
    from ra_training.scorer.crops import cached_crops
    from ra_training.scorer.train import Member

    crops = cached_crops(out, table["subjects"], table["seed"], table["priors"])  # type: ignore[arg-type]
    for trunk in table["members"]:  # type: ignore[attr-defined]
        steps = table["steps"][trunk]  # type: ignore[index]
        member = Member(
            trunk, out / f"{trunk}-{steps}", seed=table["weights_seed"], steps=steps,  # type: ignore[arg-type]
            peak=table["peak"],  # type: ignore[arg-type]
        )  # fmt: skip
        member.fit(crops, batch=table["batch"], minutes=minutes)  # type: ignore[arg-type]
        click.echo(f"{trunk}: {member.step} of {steps} steps", err=True)


def _locator(table: dict[str, object], out: Path, minutes: float) -> None:
    from ra_training.locator.scenes import cached_scenes
    from ra_training.locator.train import fit

    scenes = cached_scenes(out, table["scenes"], table["seed"])  # type: ignore[arg-type]
    fit(
        scenes, out / f"locator-{table['steps']}", seed=table["weights_seed"],  # type: ignore[arg-type]
        steps=table["steps"], batch=table["batch"], peak=table["peak"], minutes=minutes,  # type: ignore[arg-type]
    )  # fmt: skip
