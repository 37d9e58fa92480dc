"""One process and one GPU a scorer: what the node starts its scorers with."""

from __future__ import annotations

from pathlib import Path

from ra_daemon import settings
from ra_daemon.service import Node
from ra_daemon.store.engine import open_engine
from ra_daemon.store.schema import upgrade


def test_each_scorer_process_is_given_its_own_gpu(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text(
        '[scoring]\nworkers = 3\n[engine]\ndevices = ["cuda:0", "cuda:1"]\n[[route]]\nname = "r"\n'
    )
    config = settings.load(path, environ={})
    config.root.mkdir()
    rows = open_engine(config.database_url)
    upgrade(rows)
    rows.dispose()
    node = Node(config, frozenset({"score"}))
    for index in range(3):
        node._add_scorer(index)
    given = [d._process._config for d in node._dispatchers]
    assert [c.engine.device for c in given] == ["cuda:0", "cuda:1", "cuda:0"]
    assert {c.scoring.workers for c in given} == {3}
    node._engine.dispose()
