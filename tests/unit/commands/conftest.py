"""A node's folder with an empty database."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_daemon import settings
from ra_daemon.config import Config
from ra_daemon.store.engine import open_engine
from ra_daemon.store.schema import upgrade
from tests.support.processes import free_port


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Configuration file of a node that never ran; its database is there."""
    path = tmp_path / "ra-daemon.toml"
    path.write_text(
        f"[node]\nport = {free_port()}\n"
        f'[[peer]]\nname = "main"\nae_title = "PACS"\nport = {free_port()}\n'
        '[[route]]\nname = "hands"\ndestinations = ["main"]\n'
    )
    path.chmod(0o600)
    config = settings.load(path, environ={})
    config.root.mkdir()
    engine = open_engine(config.database_url)
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def config(node: Path) -> Config:
    """What the file says."""
    return settings.load(node, environ={})
