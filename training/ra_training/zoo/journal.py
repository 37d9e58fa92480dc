"""What a run tells: JSON lines always, TensorBoard where installed, a bar on a terminal."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

NAME = "metrics.jsonl"


class Journal:
    """Metrics of a run, written by the leading process only.

    Rows after the checkpoint that a run resumes from are dropped, so that no step occurs twice.
    """

    def __init__(self, folder: Path, *, total: int, step: int, speaks: bool) -> None:
        self._path = folder / NAME
        self._speaks = speaks
        self._board: Any = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not (speaks and Console(stderr=True).is_terminal),
        )  # fmt: skip
        self._task = self._bar.add_task(folder.name, total=total, completed=step, note="")
        if speaks:
            self._forget(step)
            self._board = _tensorboard(folder)

    def row(self, step: int, **values: float) -> None:
        """One line of metrics."""
        if not self._speaks:
            return
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def at(self, step: int, note: str = "") -> None:
        """Move the bar."""
        if note:
            self._bar.update(self._task, note=note)
        self._bar.update(self._task, completed=step)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def _forget(self, step: int) -> None:
        if not self._path.exists():
            return
        rows = self._path.read_text("utf-8").splitlines(keepends=True)
        kept = [r for r in rows if r.endswith("\n") and json.loads(r)["step"] <= step]
        self._path.write_text("".join(kept), "utf-8")


def read(folder: Path) -> list[dict[str, float]]:
    """All rows of a run, in order."""
    lines = (folder / NAME).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _tensorboard(folder: Path) -> Any:
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:  # an optional package
        return None
    return module.SummaryWriter(str(folder / "tensorboard"))
