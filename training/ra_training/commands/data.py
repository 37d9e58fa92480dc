"""ra-train data: check a set file by file, prepare it for training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ra_training.data.readers import KINDS
from ra_training.data.report import DataSet
from ra_training.errors import TrainingError

_KIND = click.option("--kind", required=True, type=click.Choice(list(KINDS)), help="Layout.")
_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group("data")
def command() -> None:
    """Check and prepare images of your own or of a public set."""


@command.command("check")
@_FOLDER
@_KIND
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON.")
def check(folder: Path, kind: str, *, as_json: bool) -> None:
    """Read every file of FOLDER; tell what was read, refused and left aside. Exit 1: refusals."""
    found = reading(kind, folder)
    report = found.report
    if as_json:
        click.echo(json.dumps(asdict(report), indent=1, sort_keys=True))
    else:
        click.echo("\n".join(_told(found)))
    raise SystemExit(1 if report.refused else 0)


@command.command("prepare")
@_FOLDER
@_KIND
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--split",
    "parts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of ra-train split; one set a part.",
)
@click.option("--unit", default="image", type=click.Choice(["image", "hand"]), show_default=True)
@click.option("--rows", default=320, show_default=True, type=click.IntRange(16))
@click.option("--columns", default=400, show_default=True, type=click.IntRange(16))
@click.option(
    "--image-left",
    default="",
    type=click.Choice(["", "left", "right"]),
    help="Hand at the image's left edge where both are shown.",
)
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
def prepare(
    folder: Path, kind: str, out: Path, parts: Path | None, unit: str, rows: int, columns: int,
    image_left: str, processes: int,
) -> None:  # fmt: skip
    """Write prepared sets to OUT by the preprocessing of the node; a run cut off goes on."""
    from ra_training.data import splits
    from ra_training.data.making import Making, make

    making = Making(unit=unit, rows=rows, columns=columns, image_left=image_left)  # type: ignore[arg-type]
    samples = reading(kind, folder).samples
    try:
        if parts is None:
            sets = {"": samples}
        else:
            dealt = splits.load(parts)
            sets = {p: tuple(samples[i] for i in dealt.part(p, samples)) for p in splits.SETS}
        for name, own in sets.items():
            if not own:
                continue
            made = make(own, making, out / name, processes=processes)
            click.echo(f"{name or out.name}: {len(made.prepared)} of unit {unit}")
            for refusal in made.refused:
                click.echo(f"  {refusal.where}: {refusal.code}: {refusal.reason}", err=True)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error


def reading(kind: str, folder: Path) -> DataSet:
    """A set, its refusals as one line of the command.

    Raises:
        ClickException: nothing of that layout is there.
    """
    from ra_training.data.readers import read

    try:
        return read(kind, folder)
    except TrainingError as error:
        raise click.ClickException(f"{error.code}: {error}") from error


def _told(found: DataSet) -> list[str]:
    report = found.report
    labels = {
        "score": sum(s.score is not None for s in found.samples),
        "months": sum(s.months is not None for s in found.samples),
        "joints": sum(bool(s.joints) for s in found.samples),
        "readers": sum(len(s.readers) > 1 for s in found.samples),
    }
    people = len({s.patient_id for s in found.samples})
    images = f"{report.samples} images of {people} patients"
    lines = [
        f"{report.kind}: {images} from {len(report.read)} files",
        "labels: " + ", ".join(f"{name} {count}" for name, count in labels.items()),
    ]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"refused {r.where}: {r.code}: {r.reason}; {r.hint}" for r in report.refused]
    lines += [f"aside {name}: {why}" for name, why in report.aside.items()]
    counts = ", ".join(f"{code} {n}" for code, n in report.codes.items())
    lines.append(f"refused in all: {len(report.refused)}" + (f" ({counts})" if counts else ""))
    return lines
