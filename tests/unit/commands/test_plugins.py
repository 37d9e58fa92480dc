"""plugins new writes a scorer that keeps its contract; list and check tell about all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ra_daemon.cli import main


def test_a_new_plugin_is_short_and_keeps_its_contract(tmp_path: Path) -> None:
    folder = tmp_path / "my-mean"
    done = CliRunner().invoke(main, ["plugins", "new", "my-mean", str(folder)])
    assert done.exit_code == 0, done.output
    lines = [n for n in (folder / "my_mean.py").read_text().splitlines() if n.strip()]
    assert len(lines) < 30
    code = "from test_my_mean import test_the_scorer_keeps_its_contract as check; check()"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120)


def test_a_new_plugin_is_found_once_it_is_installed(tmp_path: Path) -> None:
    folder, target = tmp_path / "grey", tmp_path / "site"
    assert CliRunner().invoke(main, ["plugins", "new", "grey", str(folder)]).exit_code == 0
    # What pip would install: the module and the metadata with its entry point.
    target.mkdir()
    (target / "grey.py").write_text((folder / "grey.py").read_text())
    info = target / "grey-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grey\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[ra_daemon.scorers]\ngrey = grey:GreyScorer\n")
    program = [sys.executable, "-m", "ra_daemon", "plugins"]
    environ = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"}
    listed = subprocess.run(
        [*program, "list", "--json"], env=environ, cwd=tmp_path, capture_output=True, check=True
    )
    states = {row["name"]: row["state"] for row in json.loads(listed.stdout)}
    assert states["grey"] == "ok"
    checked = subprocess.run(
        [*program, "check", "grey"], env=environ, cwd=tmp_path, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["Grey", "1st", "a b", "../x"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(main, ["plugins", "new", name, str(tmp_path / "x")])
    assert done.exit_code == 2


def test_an_unknown_scorer_is_a_configuration_error() -> None:
    done = CliRunner().invoke(main, ["plugins", "check", "nobody"])
    assert done.exit_code == 3
