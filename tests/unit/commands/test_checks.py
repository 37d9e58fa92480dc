"""A line of doctor: a fault names its remedy, whoever found it."""

from __future__ import annotations

import pytest

from ra_daemon.commands.checks import Check
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
