"""ra-train phantom: generated radiographs and their labels."""

from __future__ import annotations

import csv
from pathlib import Path

import click


@click.command("phantom")
@click.option("--n", required=True, type=click.IntRange(1), help="Number of subjects.")
@click.option("--seed", required=True, type=click.IntRange(0), help="Same seed, same bytes.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--hands", default="both", type=click.Choice(["both", "left", "right", "mixed"]))
@click.option("--visits", default=1, type=click.IntRange(1), help="Radiographs a subject.")
@click.option("--prior", default="clinic", type=click.Choice(["clinic", "early", "flat"]))
@click.option("--format", "form", default="dicom", type=click.Choice(["dicom", "png", "ram-h1200"]))
@click.option("--sop-class", default="DX", type=click.Choice(["DX", "CR"]), help="Of DICOM files.")
@click.option("--size", default=640, type=click.IntRange(160, 4096), help="Rows of an image.")
@click.option("--child-fraction", default=0.0, type=click.FloatRange(0, 1))
@click.option(
    "--cast-fraction", default=0.0, type=click.FloatRange(0, 1),
    help="Share of radiographs with a hand in a plaster cast; adds a column `cast`.",
)  # fmt: skip
@click.option(
    "--missing-fraction", default=0.0, type=click.FloatRange(0, 1),
    help="Share of subjects who miss a finger; adds a column `missing`.",
)  # fmt: skip
@click.option("--nonhand", default=None, help="Images of this kind instead, for gate tests.")
def command(
    n: int, seed: int, out: Path, hands: str, visits: int, prior: str, form: str, sop_class: str,
    size: int, child_fraction: float, cast_fraction: float, missing_fraction: float,
    nonhand: str | None,
) -> None:  # fmt: skip
    """Write N subjects times VISITS radiographs and labels.csv to OUT."""
    from ra_training.phantom import generate

    out.mkdir(parents=True, exist_ok=True)
    if nonhand is not None:
        _nonhands(nonhand, n, seed, out, size)
        return
    samples = generate(
        n, seed, hands=hands, visits=visits, prior=prior, height=size,  # type: ignore[arg-type]
        child_fraction=child_fraction, cast_fraction=cast_fraction,
        missing_fraction=missing_fraction,
    )  # fmt: skip
    from ra_training.phantom import missing
    from ra_training.phantom.labels import columns, row
    from ra_training.phantom.writers import write

    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        asked = {"cast": cast_fraction, "missing": missing_fraction}
        extra = [column for column, share in asked.items() if share]
        table.writerow([*columns(), *extra])
        for count, sample in enumerate(samples, 1):
            name = write(sample, out, form, sop_class)
            told = {"cast": sample.cast or "", "missing": missing.name(sample.missing)}
            table.writerow([*row(name, sample), *(told[column] for column in extra)])
            if count % 100 == 0:
                click.echo(f"{count} of {n * visits}", err=True)


def _nonhands(kind: str, n: int, seed: int, out: Path, size: int) -> None:
    from ra_training.phantom import KINDS, render_nonhand
    from ra_training.phantom.cohort import FIRST_DAY, subject_seed
    from ra_training.phantom.dicom import write_nonhand_dicom

    if kind not in KINDS:
        raise click.BadParameter(
            f"{kind!r}: choose one of {', '.join(KINDS)}", param_hint="--nonhand"
        )
    for index in range(n):
        exposure = render_nonhand(kind, subject_seed(seed, index), height=size)
        name = f"{kind}-{seed}-{index + 1:04d}"
        write_nonhand_dicom(exposure, name, FIRST_DAY, out / f"{name}.dcm")
