"""The base install brings nothing under the GPL: what it needs, and what that needs in turn."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from email.message import Message

from packaging.requirements import Requirement

from tests.support.paths import REPOSITORY

COPYLEFT = re.compile(r"\b[AL]?GPL|General Public License", re.IGNORECASE)
"""The LGPL too: nothing in the base install is under it, so what comes is to be looked at."""


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def wanted(lines: list[str], extras: frozenset[str]) -> Iterator[Requirement]:
    """Those of a distribution's requirements that hold here with these extras."""
    for line in lines:
        found = Requirement(line)
        marker = found.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in extras or {""}):
            yield found


def base_install() -> dict[str, Message]:
    """Metadata of every distribution that ``pip install ra-daemon`` brings, by name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = list(wanted(project["dependencies"], frozenset()))
    asked: set[tuple[str, frozenset[str]]] = set()
    made: dict[str, Message] = {}
    while waiting:
        found = waiting.pop()
        what = (name_of(found.name), frozenset(found.extras))
        if what in asked:
            continue
        asked.add(what)
        held = importlib.metadata.distribution(found.name)
        made[what[0]] = held.metadata  # type: ignore[assignment]
        waiting += wanted(held.requires or [], what[1])
    return made


def licences(of: Message) -> list[str]:
    """What a distribution says of its licence; of a whole text in that field the first line."""
    text = str(of.get("License", "")).strip().splitlines()[:1]
    marks = [c for c in of.get_all("Classifier", []) if c.startswith("License ::")]
    return [str(of.get("License-Expression", "")), *text, *marks]


def test_nothing_in_the_base_install_is_under_the_gpl() -> None:
    found = base_install()
    assert {"imagecodecs", "numpy", "pylibjpeg-openjpeg", "starlette"} <= found.keys()
    told = {name: [s for s in licences(of) if COPYLEFT.search(s)] for name, of in found.items()}
    assert {name: said for name, said in told.items() if said} == {}
    assert [name for name, of in found.items() if not any(licences(of))] == []


def test_the_decoder_under_the_gpl_is_not_part_of_any_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [r for e in project["optional-dependencies"].values() for r in e]
    asked = [Requirement(line) for line in (*project["dependencies"], *lines)]
    assert "pylibjpeg-libjpeg" not in {name_of(r.name) for r in asked} | base_install().keys()
    assert [r for r in asked if r.name == "pylibjpeg" and r.extras] == []
