"""ra-train reproduce: the whole study as one command that goes on where it stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ra_training.study.config import Study
    from ra_training.study.sets import Sets


@click.command("reproduce")
@click.argument("study", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--cache", type=click.Path(path_type=Path), help="Of prepared images [OUT/cache].")
@click.option("--minutes", type=click.FloatRange(0.1), help="Stop after so long; go on later.")
@click.option("--threads", default=2, type=click.IntRange(1), help="Compute threads.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the budget and stop.")
def command(
    study: Path, out: Path, cache: Path | None, minutes: float | None, threads: int, *,
    only_plan: bool,
) -> None:  # fmt: skip
    """Do what is left of STUDY, then write OUT/report.html, tables and figures."""
    from ra_training.errors import TrainingError
    from ra_training.study import config, plan

    try:
        table = config.load(study)
        plan.check(table)
        _whole(table, out, cache or out / "cache", minutes, threads, only_plan=only_plan)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error


def _whole(
    study: Study, out: Path, cache: Path, minutes: float | None, threads: int, *, only_plan: bool
) -> None:
    from ra_training.study import plan

    if study.data.kind == "phantom":
        given = {n: p.n for n in ("train", "pretrain") if (p := getattr(study.data, n)) is not None}
        each = 2 if study.data.unit == "hand" else 1
        sizes = {"pretrain": 0, "train": 0} | {
            n: k * (each if n == "train" else 1) for n, k in given.items()
        }
        click.echo(f"Budget: {plan.budget(study, out, sizes)}", err=True)
        if only_plan:
            return
    from ra_training.study.sets import open_sets

    click.echo("Opening the sets", err=True)
    sets = open_sets(study, cache, processes=threads)
    click.echo(f"Budget: {plan.budget(study, out, sets.sizes)}", err=True)
    if only_plan:
        return
    if not _runs(study, sets, out, minutes, threads):
        click.echo(f"Time is up. Left: {plan.budget(study, out, sets.sizes)}", err=True)
        return
    from ra_training.study.outcome import conclude

    (out / "study.json").write_text(study.model_dump_json(indent=1), encoding="utf-8")
    click.echo(str(conclude(study, sets, out)))


def _runs(study: Study, sets: Sets, out: Path, minutes: float | None, threads: int) -> bool:
    """Do every run; False when the time was up."""
    import torch

    from ra_training.study.plan import specs
    from ra_training.study.run import execute

    torch.set_num_threads(threads)
    started, digest = time.monotonic(), sets.digest()
    every = specs(study)
    for i, spec in enumerate(every, 1):
        left = None if minutes is None else minutes - (time.monotonic() - started) / 60
        if left is not None and left <= 0:
            return False
        begun = time.monotonic()
        if not execute(spec, sets, out, data_digest=digest, minutes=left):
            return False
        spent = time.monotonic() - begun
        click.echo(f"{i} of {len(every)}: {spec.key}, {spent:.0f} s", err=True)
    return True
