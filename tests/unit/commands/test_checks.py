"""A line of doctor: a fault names its remedy, whoever found it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_daemon.commands.checks import Check, database_state, ports
from ra_daemon.config import Config, Node, Store
from ra_daemon.errors import DaemonError
from ra_engine.errors import BackendError, RaError


@pytest.mark.parametrize("remedy", ["", " "])
def test_a_fault_without_a_remedy_is_no_check(remedy: str) -> None:
    with pytest.raises(ValueError, match="names its remedy"):
        Check(name="disk", ok=False, found="full", remedy=remedy)


def test_what_is_well_has_no_remedy() -> None:
    assert Check(name="disk", ok=True, found="free").remedy == ""
    with pytest.raises(ValueError, match="names its remedy"):
        Check(name="disk", ok=True, found="free", remedy="Free space.")


@pytest.mark.parametrize("kind", [RaError, BackendError, DaemonError])
def test_a_plugin_s_error_with_an_empty_hint_has_its_kind_s(kind: type[RaError]) -> None:
    assert kind("It broke.", hint="").hint == kind("It broke.").hint == kind.hint
    assert kind("It broke.", hint="Mend it.").hint == "Mend it."


def test_a_database_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "ra-daemon.db").mkdir()
    (told,) = database_state(Config(store=Store(root=tmp_path)))
    assert not told.ok
    assert "is no file" in told.found


def test_a_host_that_nobody_has_is_no_port_that_is_held(tmp_path: Path) -> None:
    node = Node(host="999.1.1.1", port=11112)
    (told,) = ports(Config(store=Store(root=tmp_path), node=node))
    assert not told.ok
    assert "node.host" in told.remedy
