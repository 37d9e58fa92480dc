"""The deployment files: loaded, linted, complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args, get_origin

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from ra_daemon import settings
from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_daemon.web.server import check_bind
from tests.support.paths import REPOSITORY
from tests.support.peers import require_tool

DEPLOY = REPOSITORY / "deploy"
UNIT = DEPLOY / "systemd" / "ra-daemon.service"
CONTAINER = DEPLOY / "container" / "Containerfile"


def _model_of(annotation: object) -> type[BaseModel] | None:
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def _tables() -> dict[str, type[BaseModel]]:
    """Table name -> model of every section of the configuration."""
    models = {name: _model_of(f.annotation) for name, f in Config.model_fields.items()}
    return {name: model for name, model in models.items() if model is not None}


def _documented(text: str) -> dict[str, set[str]]:
    """Table -> keys that the annotated file names, also those that are commented out."""
    table = ""
    keys: dict[str, set[str]] = {}
    for line in text.splitlines():
        if heading := re.match(r"\[\[?([a-z]+)\]\]?", line):
            table = heading[1]
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            keys.setdefault(table, set()).add(key[1])
    return keys


@pytest.mark.parametrize("name", ["ra-daemon.toml", "compose/ra-daemon.toml"])
def test_configurations_load_and_serve_their_pages(name: str) -> None:
    config = settings.load(DEPLOY / name, environ={})
    assert config.web.enabled
    check_bind(config)
    done = CliRunner().invoke(main, ["config", "check", "--config", str(DEPLOY / name)])
    assert done.exit_code == 0, done.output


def test_the_annotated_file_names_every_key() -> None:
    documented = _documented((DEPLOY / "ra-daemon.toml").read_text())
    for table, model in _tables().items():
        assert documented.get(table, set()) == set(model.model_fields), table


def test_the_annotated_file_gives_the_defaults() -> None:
    config = Config.model_validate(tomllib.loads((DEPLOY / "ra-daemon.toml").read_text()))
    for table in ("node", "scoring", "delivery", "schedule", "web", "log"):
        assert getattr(config, table) == getattr(Config(), table), table


@pytest.mark.peer
def test_unit_has_no_mistakes() -> None:
    analyze = require_tool("systemd-analyze", "systemd")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False
    )
    # The exit status is 0 also for unknown keys: what counts is the text.
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert done.returncode == 0


@pytest.mark.peer
def test_unit_is_hardened() -> None:
    analyze = require_tool("systemd-analyze", "systemd")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= 2.5


def test_unit_notifies_and_is_watched() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=30", "KillMode=mixed", "Restart=always"):
        assert f"\n{line}\n" in text, line


def test_container_file() -> None:
    text = CONTAINER.read_text()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE), (
        "a numeric user that is not root"
    )
    assert "HEALTHCHECK" in text
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+", base), f"not pinned: {base}"
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (REPOSITORY / name).exists(), f"copied and not there: {name}"


@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("hadolint", CONTAINER),
        ("compose-lint", DEPLOY / "compose" / "compose.yaml"),
    ],
)
def test_linters_agree(tool: str, file: Path) -> None:
    program = Path(sys.executable).parent / tool
    done = subprocess.run([program, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_binds_to_loopback_and_keeps_secrets_in_files() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    ports = re.findall(r'"([^"]*:\d+:\d+)"', text)
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "PASSWORD:" not in text
    for file in re.findall(r"\{ file: (\S+) \}", text):
        path = DEPLOY / "compose" / file
        assert path.exists() or "secrets/" in file, file


def test_orthanc_configuration() -> None:
    orthanc = json.loads((DEPLOY / "compose" / "orthanc.json").read_text())
    node = Config.model_validate(tomllib.loads((DEPLOY / "compose" / "ra-daemon.toml").read_text()))
    ae, _, port = orthanc["DicomModalities"]["ra-daemon"]
    assert (ae, port) == (node.node.ae_title, node.node.port)
    assert orthanc["DicomAet"] == node.peer[0].ae_title
    assert orthanc["DicomPort"] == node.peer[0].port


def test_scripts_are_plain_sh() -> None:
    for script in [*DEPLOY.rglob("*.sh"), *(REPOSITORY / "scripts").glob("*.sh")]:
        subprocess.run(["sh", "-n", script], check=True)
