"""ra-daemon score: files in, scores, reports and heatmaps out; no node needed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.errors import ComposeError, UnreadableError
from ra_daemon.faults import of_file_system, translated

if TYPE_CHECKING:
    from ra_daemon.commands.score_names import Names
    from ra_daemon.config import Config, Route
    from ra_daemon.domain import Failed, Header, Outcome, Scored

NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("hands", "score", "low", "high", "level", "scale_max", "members", "severity"),
        *("bundle", "bundle_version", "engine", "sr", "capture", "demonstration"),
    )
)
"""The figures of a file without a verdict: the keys are always there."""
_MISSING, _NOT_REGULAR = "file.missing", "file.not_regular"


@click.command("score")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder; else beside."
)
@config_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    out: Path | None,
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Score files and write NAME.sr.dcm and, of a model's map, NAME.heatmap.dcm with fresh UIDs.

    Uses the bundle that the node of the configuration uses. A refused image is no failure: the
    exit status is 0, its reason is told. It is 1 when a file failed or is none; every argument
    has its row. NAME is the file's; it becomes NAME-2 where an object of
    another image has that name. Scoring the same files again replaces their objects.
    """
    from ra_daemon import log
    from ra_daemon.commands.model_states import effective

    config = effective(load(config_path, required=config_path is not None), told=say)
    log.configure(config.log)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    run = Run.of(config, out)
    rows = [row for some in _batches(paths, config.scoring.batch) for row in run.score(some)]
    if as_json:
        emit_json(rows)
    else:
        emit_table(("file", "status", "score", "interval", "band"), [_line(r) for r in rows])
        if any(r.get("demonstration") for r in rows):
            say("Demonstration model: not for clinical use.")
    ctx.exit(int(any(row["status"] == "error" for row in rows)))


def _batches(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call: loaded models, the rules of a route, and the salt that keeps its UIDs apart."""

    pipeline: Any
    route: Route
    names: Names
    digest: str
    serial_number: str
    salt: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, config: Config, out: Path | None) -> Run:
        """Load models once."""
        from ra_daemon import pipelines
        from ra_daemon.commands.score_names import Names
        from ra_daemon.config import Route
        from ra_daemon.worker.pipeline import Pipeline

        route = config.route[0] if config.route else Route(name="files")
        pipeline = Pipeline(config, progress=lambda _stage, _blame: None)
        return cls(
            pipeline=pipeline,
            route=route,
            names=Names(out),
            digest=pipelines.digest_of(config, route),
            serial_number=config.node.serial_number,
        )

    def score(self, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """One row a file, in order."""
        from ra_daemon.dicom import guard
        from ra_daemon.dicom.read import identify, read_header
        from ra_daemon.domain import Reason, Refused
        from ra_daemon.worker.messages import ScoreTask

        headers: dict[int, Header] = {}
        outcomes: dict[int, Outcome] = {}
        tasks = []
        for number, path in enumerate(paths):
            parsable = False
            try:
                if not path.is_file():
                    outcomes[number] = _no_file(path)
                    continue
                guard.check(path)
                parsable = True
                headers[number] = read_header(path)
            except UnreadableError as error:
                outcomes[number] = Refused(reason=Reason.UNREADABLE, detail=str(error))
                known = identify(path) if parsable else None
                if known is not None:
                    headers[number] = known
                continue
            except OSError as error:  # of one file: the others are scored
                outcomes[number] = _unread(error)
                continue
            header = headers[number]
            tasks.append(ScoreTask(job_id=number, path=str(path), header=header, route=self.route))
        self.pipeline.offer(tasks)
        outcomes.update(self.pipeline.run(tasks))
        return [self._row(p, headers.get(n), outcomes[n]) for n, p in enumerate(paths)]

    def _row(self, path: Path, header: Header | None, outcome: Outcome) -> dict[str, Any]:
        from ra_daemon.domain import Refused, Scored

        row: dict[str, Any] = {
            "file": str(path),
            "sop_instance_uid": header.sop_instance_uid if header is not None else None,
        }
        if isinstance(outcome, Refused):
            reason = {"code": outcome.reason.value, "text": outcome.text}
            return {**row, "status": "refused", "reason": reason, **NOTHING}
        if not isinstance(outcome, Scored):
            return {**row, **_failure(outcome)}
        row |= {**NOTHING, "status": "scored", "reason": None, **summary(outcome)}
        try:
            return {**row, **self._write(path, row["sop_instance_uid"], outcome)}
        except Exception as error:  # noqa: BLE001 - one file must not hide the verdicts on others
            told = translated(error) or _unforeseen(error)
            return {**row, "status": "error", "reason": _reason(told.code, f"{told} {told.hint}")}

    def _write(self, path: Path, instance: str, scored: Scored) -> dict[str, Any]:
        """Compose all objects, then write them; the path of each there is."""
        from ra_daemon import __version__
        from ra_daemon.dicom import read
        from ra_daemon.dicom.report_input import ReportInput
        from ra_daemon.steps import compose

        given = ReportInput(
            sources=(path,),
            source_digests=(read.digests(path)[0],),
            created_at=datetime.now(UTC),
            pipeline_digest=self.digest,
            scored=scored,
            serial_number=self.serial_number,
            software_version=__version__,
            salt=self.salt,
        )
        made = [(kind, compose.encoded(ds)) for kind, ds in compose.datasets(given)]
        targets = self.names.of(path, instance)
        for kind, content in made:
            targets[kind].write_bytes(content)
        written = {kind: str(targets[kind]) for kind, _ in made}
        return {**written, "demonstration": given.demonstration}


def summary(scored: Scored) -> dict[str, Any]:
    """The figures of an outcome: score of what the image shows, limits, members, band, model."""
    from ra_engine.types import Category, Measurement

    measured = [f for f in scored.findings if isinstance(f, Measurement)]
    whole = next((m for m in measured if m.kind == "svdh_total"), None)
    whole = whole or next(
        (m for m in measured if m.kind.startswith("svdh_") and m.interval is not None), None
    )
    band = next(
        (f for f in scored.findings if isinstance(f, Category) and f.kind == "severity"), None
    )
    limits = whole.interval if whole is not None else None
    model = whole.model if whole is not None else None
    return {
        "hands": scored.hands,
        "score": None if whole is None else whole.value,
        "low": None if limits is None else limits.low,
        "high": None if limits is None else limits.high,
        "level": None if limits is None else limits.level,
        "scale_max": None if whole is None else whole.scale_max,
        "members": {m.label: m.value for m in measured if m.kind == "svdh_member"},
        "severity": None
        if band is None
        else {
            "band": band.index,
            "bands": len(band.probabilities),
            "edges": list(band.edges),
            "probabilities": list(band.probabilities),
        },
        "bundle": None if model is None else model.bundle,
        "bundle_version": None if model is None else model.version,
        "engine": None if model is None else model.engine,
    }


def _no_file(path: Path) -> Failed:
    from ra_daemon.domain import Failed

    code, told = _NOT_REGULAR, f"{path} is no regular file."
    if not path.exists():
        code, told = _MISSING, f"There is no file {path}."
    elif path.is_dir():
        told = f"{path} is a folder: name the files in it."
    return Failed(code=code, message=told, retriable=False)


def _unread(error: OSError) -> Failed:
    from ra_daemon.domain import Failed

    told = of_file_system(error)
    return Failed(code=told.code, message=f"{told} {told.hint}", retriable=False)


def _unforeseen(error: Exception) -> ComposeError:
    """Only the kind of a fault of the program is told: its words may hold patient data."""
    return ComposeError(
        f"The report could not be made ({type(error).__name__}).",
        hint="Its header or a scorer is unusual: report it, without patient data, as a fault.",
    )


def _failure(failed: Failed) -> dict[str, Any]:
    return {"status": "error", "reason": _reason(failed.code, failed.message), **NOTHING}


def _reason(code: str, text: str) -> dict[str, str]:
    return {"code": code, "text": text}


def _line(row: dict[str, Any]) -> list[object]:
    if row["status"] != "scored":
        return [row["file"], row["status"], row["reason"]["text"], "", ""]
    band, score, low = row["severity"], row["score"], row["low"]
    return [
        row["file"],
        row["status"],
        "" if score is None else f"{score:.1f} of {row['scale_max']:g}",
        "" if low is None else f"{low:.1f} to {row['high']:.1f}",
        "" if band is None else f"{band['band']} of {band['bands']}",
    ]
