"""ra-train audit: whether an attribute of acquisition gives the score away."""

from __future__ import annotations

from pathlib import Path

import click

from ra_training.data.readers import KINDS
from ra_training.errors import TrainingError


@click.command("audit")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--kind", type=click.Choice(list(KINDS)), help="Layout of FOLDER.")
@click.option("--generated", type=click.IntRange(40), help="So many generated images instead.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
def command(folder: Path | None, kind: str | None, generated: int | None, seed: int) -> None:
    """Print for each attribute the AUC for 'score above median'; exit 1: one is above 0.55."""
    from ra_training.data.audit import LIMIT, above_median, audit

    if (folder is None) == (generated is None) or (folder is not None and kind is None):
        raise click.UsageError("Give FOLDER with --kind, or --generated N.")
    try:
        attributes, totals, people = (
            _generated(generated, seed) if generated else _files(folder, kind)
        )
        rows = audit(attributes, above_median(totals), people, seed=seed)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error
    click.echo(f"{'attribute':<16} {'AUC':>5}  95 % interval")
    for row in rows:
        told = "one value" if row.constant else f"{row.low:.3f}-{row.high:.3f}"
        click.echo(f"{row.name:<16} {row.auc:5.3f}  {told}{'' if row.passed else '  ABOVE'}")
    click.echo(f"{len(totals)} images, limit {LIMIT}", err=True)
    raise SystemExit(0 if all(r.passed for r in rows) else 1)


def _generated(n: int, seed: int) -> tuple[dict[str, list[float | str]], list[float], list[str]]:
    from ra_training.data.acquisition import acquisition

    made = acquisition(n, seed)
    return made.attributes, made.totals, made.patients


def _files(
    folder: Path | None, kind: str | None
) -> tuple[dict[str, list[float | str]], list[float], list[str]]:
    from ra_training.commands.data import reading
    from ra_training.data.audit import file_attributes

    assert folder is not None
    assert kind is not None
    samples = [s for s in reading(kind, folder).samples if s.score is not None]
    totals = [s.score for s in samples if s.score is not None]
    return file_attributes(samples), totals, [s.patient_id for s in samples]
