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
    from ra_training.errors import TrainingError
    from ra_training.zoo import config as configs
    from ra_training.zoo import loop
    from ra_training.zoo.predict import errors

    try:
        run = configs.load(config, changes)
        judged = prepared.load(valid)
        found = loop.fit(run, prepared.load(train), judged, out, minutes=minutes)
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
@_by_recipe
def scorer(recipe: Path, out: Path, minutes: float, threads: int) -> None:
    """Train the members of the demonstration bundle."""
    tables = _tables(recipe, threads)
    _scorer(tables["scorer"], tables["scorer"], out, None, minutes)


@command.command("fine")
@_by_recipe
@click.option(
    "--warm", required=True, type=click.Path(path_type=Path, exists=True),
    help="Folder of the first stage.",
)  # fmt: skip
def fine(recipe: Path, out: Path, warm: Path, minutes: float, threads: int) -> None:
    """Train the members' second stage."""
    tables = _tables(recipe, threads)
    _scorer(tables["fine"], tables["scorer"], out, warm, minutes)


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
