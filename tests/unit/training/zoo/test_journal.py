"""Metrics of a run: lines of JSON always, TensorBoard where it is installed."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from ra_training.zoo.journal import Journal, read


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with Journal(tmp_path, total=9, step=0, speaks=True) as journal:
        for step in (1, 2, 3):
            journal.row(step, loss=float(step))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')  # cut off in the middle of a line
    with Journal(tmp_path, total=9, step=2, speaks=True) as journal:
        journal.row(3, loss=30.0)
    assert [(r["step"], r["loss"]) for r in read(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_only_the_leading_process_writes(tmp_path: Path) -> None:
    with Journal(tmp_path, total=2, step=0, speaks=False) as journal:
        journal.row(1, loss=1.0)
        journal.at(1, "note")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("terminal", "speaks"), [(True, True), (True, False), (False, True)])
def test_a_bar_shows_the_progress_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, speaks: bool
) -> None:
    screen = io.StringIO()

    def console(*, stderr: bool) -> Console:
        assert stderr
        return Console(file=screen, force_terminal=terminal, width=100)

    monkeypatch.setattr("ra_training.zoo.journal.Console", console)
    folder = tmp_path / "first-run"
    folder.mkdir()
    with Journal(folder, total=40, step=10, speaks=speaks) as journal:
        journal.at(25, "loss 1.5")
        journal.at(37)
    shown = screen.getvalue()
    if terminal and speaks:
        assert "37/40" in shown
        assert "first-run" in shown
        assert "loss 1.5" in shown
    else:
        assert shown.strip() == ""


class Board:
    """Stands for TensorBoard's writer."""

    told: list[tuple[str, float, int]]

    def __init__(self, folder: str) -> None:
        self.folder, self.told, self.closed = folder, [], False
        boards.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, value, step))

    def close(self) -> None:
        self.closed = True


boards: list[Board] = []


def test_tensorboard_is_told_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board
    for name in ("torch", "torch.utils"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name) or ModuleType(name))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with Journal(tmp_path, total=2, step=0, speaks=True) as journal:
        journal.row(1, loss=1.5, rate=0.1)
    (board,) = boards
    assert board.told == [("loss", 1.5, 1), ("rate", 0.1, 1)]
    assert board.closed
    assert Path(board.folder).parent == tmp_path
    assert read(tmp_path) == [{"step": 1, "loss": 1.5, "rate": 0.1}]
