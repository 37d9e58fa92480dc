"""ra-train fit: train a network of the zoo, or the networks of one bundle by a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


@click.group("fit")
def command() -> None:
    """Train; a run that was cut off goes on from its last checkpoint."""


@command.command("zoo")
@click.argument("config", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--train", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--valid", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--set", "changes", multiple=True, metavar="A.B=C", help="Change a setting.")
@click.option("--minutes", type=float, help="Stop with a checkpoint after this time.")
def zoo(
    config: Path, train: Path, valid: Path, out: Path, changes: tuple[str, ...],
    minutes: float | None,
) -> None:  # fmt: skip
    """Train one network by CONFIG on prepared sets.

    Writes member.safetensors, config.json (every setting), metrics.jsonl and checkpoint.safetensors
    into OUT; the figures of the validation set go to stdout. Under torchrun every process takes its
    share of each batch: torchrun --nproc-per-node 2 -m ra_training fit zoo ...
    """
    from ra_training.data import prepared
    from ra_training.data.overlap import no_patient_twice
    from ra_training.errors import TrainingError
    from ra_training.zoo import config as configs
    from ra_training.zoo import loop
    from ra_training.zoo.predict import errors

    try:
        run = configs.load(config, changes)
        seen, judged = prepared.load(train), prepared.load(valid)
        no_patient_twice({"train": seen, "valid": judged})
        found = loop.fit(run, seen, judged, out, minutes=minutes)
        figures = errors(found.predictions, judged.targets(run.target))
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    told = {
        "weights": str(found.weights), "step": found.step, "epochs": found.epochs,
        "done": found.done, "seconds": round(found.seconds, 1), **figures,
    }  # fmt: skip
    click.echo(json.dumps(told))


def _by_recipe(work: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--threads", default=2, help="Compute threads."),
        click.option("--minutes", default=120.0, help="Time limit of each network."),
        click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False)),
        click.option("--recipe", required=True, type=click.Path(path_type=Path, exists=True)),
    ):
        work = option(work)
    return work


@command.command("scorer")
@click.option("--member", help="Only this member, so that several train at once.")
@_by_recipe
def scorer(recipe: Path, out: Path, minutes: float, threads: int, member: str | None) -> None:
    """Train the members of the demonstration bundle."""
    _scorer(_tables(recipe, threads)["scorer"], out, minutes, member)


@command.command("locator")
@_by_recipe
def locator(recipe: Path, out: Path, minutes: float, threads: int) -> None:
    """Train the locator."""
    from ra_training.locator.scenes import cached_scenes
    from ra_training.locator.train import fit

    table = _tables(recipe, threads)["locator"]
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


def _tables(recipe: Path, threads: int) -> dict[str, Any]:
    import torch

    from ra_training import recipe as recipes

    torch.set_num_threads(threads)
    return recipes.load(recipe)


def _scorer(table: dict[str, Any], out: Path, minutes: float, only: str | None) -> None:
    from ra_training.scorer.crops import cached_crops
    from ra_training.scorer.train import Member

    crops = cached_crops(out, table["subjects"], table["seed"], table["priors"])
    if only is not None and only not in table["members"]:
        raise click.UsageError(f"--member {only}: the recipe has {', '.join(table['members'])}.")
    for trunk in [only] if only else table["members"]:
        steps = table["steps"][trunk]
        member = Member(
            trunk, out / f"{trunk}-{steps}", seed=table["weights_seed"], steps=steps,
            peak=table["peak"],
        )  # fmt: skip
        member.fit(crops, batch=table["batch"], minutes=minutes)
        click.echo(f"{trunk}: {member.step} of {steps} steps", err=True)
