"""models install, shadow, activate, retire, list, compare as people type them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_engine.bundle import write_sums
from tests.support import bundles


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def listed(node: Path) -> dict[str, Any]:
    done = run("models", "list", "--json", "--config", node)
    assert done.exit_code == 0, done.output
    return {row["name"]: row for row in json.loads(done.stdout)}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return bundles.score_bundle(tmp_path / "made")


@pytest.fixture
def installed(node: Path, small: Path) -> str:
    done = run("models", "install", small, "--config", node)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip()).name


def test_an_installed_bundle_is_a_candidate(node: Path, installed: str, config: Config) -> None:
    assert installed == "small-1.0"
    row = listed(node)[installed]
    assert (row["state"], row["files"], row["in_use"]) == ("candidate", "verified", False)
    assert (config.root / "models" / installed / "SHA256SUMS").is_file()
    assert listed(node)["demo"]["in_use"]


def test_the_same_version_is_installed_once(node: Path, installed: str, small: Path) -> None:
    assert run("models", "install", small, "--config", node).exit_code == 3


def test_a_bundle_can_be_installed_before_the_first_start(tmp_path: Path, small: Path) -> None:
    path = tmp_path / "site" / "ra-daemon.toml"
    path.parent.mkdir()
    path.write_text("")
    assert run("models", "install", small, "--config", path).exit_code == 0


def test_states_by_command(node: Path, installed: str) -> None:
    for verb, state in (("shadow", "shadow"), ("activate", "active"), ("retire", "retired")):
        done = run("models", verb, installed, "--reason", "trial", "--config", node)
        assert done.exit_code == 0, done.output
        assert listed(node)[installed]["state"] == state
    assert run("models", "activate", "small", "--config", node).exit_code == 0  # one version only
    assert listed(node)[installed]["state"] == "active"
    assert run("models", "activate", "nothing", "--config", node).exit_code == 3
    assert run("models", "retire", "demo", "--config", node).exit_code == 3


def test_a_bundle_whose_files_changed_gets_no_state(
    node: Path, installed: str, config: Config
) -> None:
    (config.root / "models" / installed / "card.md").write_text("other")
    assert run("models", "activate", installed, "--config", node).exit_code == 1
    assert listed(node)[installed]["state"] == "candidate"
    assert run("models", "verify", installed, "--config", node).exit_code == 1


def test_a_node_refuses_other_files_than_those_that_were_activated(
    node: Path, installed: str, config: Config
) -> None:
    assert run("models", "activate", installed, "--config", node).exit_code == 0
    folder = config.root / "models" / installed
    (folder / "card.md").write_text("other")
    write_sums(folder)  # somebody signed it off again, without saying so
    done = run("start", "--config", node)
    assert done.exit_code == 3
    assert "files changed" in done.stderr


def test_compare_without_shared_images(node: Path) -> None:
    done = run("models", "compare", "demo", "other", "--config", node)
    assert done.exit_code == 0
    assert "No image" in done.stderr


@pytest.mark.parametrize("key", ["bundle", "shadow"])
def test_no_configuration_lets_a_locator_score(node: Path, key: str) -> None:
    before = node.read_text()
    node.write_text(f'{before}\n[scoring]\n{key} = "locator"\n')
    try:
        for words in (["config", "check"], ["start"]):
            done = run(*words, "--config", node)
            assert done.exit_code == 3
            assert "locator gives no score" in done.stderr
        assert "locator gives no score" in run("doctor", "--config", node).stdout
    finally:
        node.write_text(before)


@pytest.mark.parametrize("state", ["activate", "shadow"])
def test_a_bundle_without_a_score_takes_no_scorer_s_place(node: Path, state: str) -> None:
    done = run("models", state, "locator", "--reason", "try", "--config", node)
    assert done.exit_code == 3
    assert "gives no score" in done.stderr
    assert listed(node)["locator"]["state"] not in ("active", "shadow")
