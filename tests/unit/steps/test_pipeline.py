"""What decides a result is part of the pipeline digest, and a role finds its bundle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ra_daemon.config import Config
from ra_daemon.steps.score import bundles_beside, pipeline_digest
from ra_engine import registry
from ra_engine.bundle import Bundle, load_bundle
from ra_plugins.svdh import SvdhScorer
from tests.support.bundles import SCORE, score_bundle
from tests.support.thirdparty import entry_point

SCORER = """
class Mine:
    name, api_version, needs = "mine", 1, {needs}
    def score(self, batch, outputs): return [[] for _ in batch.images]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path; what it holds is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("mine_module", "other_module"):
        sys.modules.pop(name, None)


def scorer(site: Path, needs: dict[str, list[str]], version: str = "1.0") -> None:
    entry_point(
        site, registry.SCORERS, "mine", "mine_module:Mine", dist="mine-scorer", version=version
    )
    (site / "mine_module.py").write_text(SCORER.format(needs=needs))


def offer(site: Path, name: str, role: str, dist: str) -> Path:
    """A distribution with a bundle for one role."""
    manifest = SCORE.replace('"svdh", "severity", "cam"', f'"{role}"')
    folder = score_bundle(site / f"{name}-folder", manifest=manifest.replace("small", name))
    entry_point(site, registry.BUNDLES, name, f"{dist}_module:folder", dist=dist)
    (site / f"{dist}_module.py").write_text(f"def folder(): return {str(folder)!r}")
    return folder


def digest(*scorers: str) -> str:
    return pipeline_digest(Config(), scorers, "gate")


def configured(tmp_path: Path) -> Bundle:
    return load_bundle(score_bundle(tmp_path / "configured"))


def test_a_new_version_of_a_scorer_is_another_pipeline(site: Path) -> None:
    scorer(site, {}, "1.0")
    first = digest("mine")
    assert digest("mine") == first
    scorer(site, {}, "1.1")
    assert digest("mine") != first


def test_a_role_of_its_own_is_served_by_an_installed_bundle(site: Path, tmp_path: Path) -> None:
    scorer(site, {"mine_role": ["score"]})
    mine = registry.load_scorers()[0]["mine"]
    assert bundles_beside(configured(tmp_path), [mine]) == []
    alone = digest("mine")
    folder = offer(site, "aa", "mine_role", "other")
    (found,) = bundles_beside(configured(tmp_path), [SvdhScorer(), mine])
    assert found.path == folder
    assert digest("mine") != alone  # that bundle decides the result too


def test_the_scorers_own_distribution_goes_first(site: Path, tmp_path: Path) -> None:
    scorer(site, {"mine_role": ["score"]})
    offer(site, "aa", "mine_role", "other")
    own = score_bundle(tmp_path / "own", manifest=SCORE.replace('"svdh", "severity", "cam"',
                                                                '"mine_role"'))  # fmt: skip
    with (site / "mine-scorer-1.0.dist-info" / "entry_points.txt").open("a") as points:
        points.write(f"[{registry.BUNDLES}]\nzz = mine_module:folder\n")
    with (site / "mine_module.py").open("a") as module:
        module.write(f"\ndef folder(): return {str(own)!r}\n")
    mine = registry.load_scorers()[0]["mine"]
    assert [b.path for b in bundles_beside(configured(tmp_path), [mine])] == [own]


def test_what_ships_never_steps_in_for_the_configured_bundle(tmp_path: Path) -> None:
    manifest = SCORE.replace('"svdh", "severity", "cam"', '"other"')
    bare = load_bundle(score_bundle(tmp_path / "bare", manifest=manifest))
    assert bundles_beside(bare, [SvdhScorer()]) == []


def test_a_bundle_that_cannot_be_trusted_serves_nobody(site: Path, tmp_path: Path) -> None:
    scorer(site, {"mine_role": ["score"]})
    folder = offer(site, "aa", "mine_role", "other")
    (folder / "card.md").write_text("changed")
    mine = registry.load_scorers()[0]["mine"]
    assert bundles_beside(configured(tmp_path), [mine]) == []
