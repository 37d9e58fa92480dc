"""A bundle's entry point that cannot be loaded harms nothing but itself, and is told."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import command, run_node
from tests.support.site import phantoms, write_site
from tests.support.thirdparty import entry_point

pytestmark = pytest.mark.xdist_group("node without peers")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's folder, with a broken distribution beside it."""
    folder = tmp_path_factory.mktemp("broken")
    entry_point(folder / "plugins", "ra_daemon.bundles", "zz", "notthere:bundle", dist="zz")
    entry_point(folder / "plugins", "ra_engine.backends", "yy", "notthere:backend", dist="yy")
    return write_site(folder / "site", []).parent


def environ(folder: Path) -> dict[str, str]:
    paths = [str(folder / "plugins"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [*command("ra-daemon"), *words, "--config", str(folder / "site" / "ra-daemon.toml")]
    return subprocess.run(
        line, env=environ(folder), capture_output=True, text=True, timeout=240, check=False
    )


def test_plugins_list_and_doctor_tell(site: Path) -> None:
    rows: list[dict[str, Any]] = json.loads(run(site, "plugins", "list", "--json").stdout)
    told = {(r["group"], r["name"]): r for r in rows}
    for key, origin in ((("ra_daemon.bundles", "zz"), "zz 1.0"),
                        (("ra_engine.backends", "yy"), "yy 1.0")):  # fmt: skip
        assert (told[key]["state"], told[key]["origin"]) == ("broken", origin)
        assert "No module named 'notthere'" in told[key]["reason"]
    assert told["ra_daemon.bundles", "demo"]["state"] == "ok"
    checks = json.loads(run(site, "doctor", "--json").stdout)["checks"]
    found = {c["name"]: c for c in checks}
    assert not found["bundle zz"]["ok"]
    assert "notthere" in found["bundle zz"]["found"]
    assert found["bundle"]["ok"]
    assert not [c for c in checks if "A fault of this program" in c["remedy"]]


def test_files_are_scored(site: Path, tmp_path: Path) -> None:
    (file,) = phantoms(tmp_path / "in", 1, 5, size=320)
    done = run(site, "score", str(file), "--json")
    assert done.returncode == 0, done.stderr
    assert [r["status"] for r in json.loads(done.stdout)] == ["scored"]


def test_the_node_starts(site: Path) -> None:
    with run_node(site / "site", env=environ(site)) as node:
        assert node.stop() == 0


def test_a_node_that_wants_it_says_why_it_cannot_have_it(site: Path, tmp_path: Path) -> None:
    text = (site / "site" / "ra-daemon.toml").read_text()
    wanting = tmp_path / "site"
    wanting.mkdir()
    file = wanting / "ra-daemon.toml"
    file.write_text(text.replace("[scoring]\n", '[scoring]\nbundle = "zz"\n'))
    line = [*command("ra-daemon"), "start", "--config", str(file)]
    ended = subprocess.run(
        line, env=environ(site), capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 3
    assert "'zz' of zz 1.0 is broken" in ended.stderr
    assert "Traceback" not in ended.stderr
