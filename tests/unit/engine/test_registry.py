"""Plugins are found through entry points; a broken one stops nobody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ra_engine import registry
from ra_engine.testing import check_scorer
from tests.support.thirdparty import install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path; modules that come from it are forgotten afterwards."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(str(folder))
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def scorer_point(folder: Path, name: str, target: str, dist: str = "extra") -> None:
    info = folder / f"{dist}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.SCORERS}]\n{name} = {target}\n")


def test_the_built_in_scorers_come_through_the_same_door() -> None:
    found, _ = registry.load_scorers()
    assert {"svdh", "severity", "gradcam"} <= found.keys()


def test_a_third_party_scorer_is_found_and_keeps_its_contract(site: Path) -> None:
    install("ra_scorer_mean", site)
    found, broken = registry.load_scorers()
    assert broken == []
    check_scorer(found["mean"])


def test_the_third_party_scorer_is_short() -> None:
    source = Path(__file__).parents[2] / "thirdparty" / "ra_scorer_mean"
    lines = [len(p.read_text().splitlines()) for p in source.iterdir() if p.is_file()]
    assert sum(lines) < 30


def test_broken_ones_are_told_with_origin_and_reason(site: Path) -> None:
    install("ra_scorer_bad", site)
    found, broken = registry.load_scorers()
    reasons = {b.name: b.reason for b in broken}
    assert reasons.keys() == {"unimportable", "old"}
    assert "NoSuchName" in reasons["unimportable"]
    assert "API 0, this is 1" in reasons["old"]
    assert {b.origin for b in broken} == {"ra-scorer-bad 1.0"}
    assert {"raiser", "svdh"} <= found.keys()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import no_such_library", "No module named"),
        ("scorer = 7", "is no Scorer"),
        ("class scorer:\n    def __init__(self, path): pass", "TypeError"),
        (
            "class scorer:\n    name='other'; api_version=1; needs={}\n    score=len",
            "calls itself 'other'",
        ),
    ],
)
def test_whatever_a_plugin_does_at_load_time_is_contained(
    site: Path, body: str, reason: str
) -> None:
    scorer_point(site, "extra", "extra_module:scorer")
    (site / "extra_module.py").write_text(body)
    found, broken = registry.load_scorers()
    assert "extra" not in found
    assert "svdh" in found
    assert [b.name for b in broken] == ["extra"]
    assert reason in broken[0].reason


def test_only_allowed_plugins_are_imported(site: Path) -> None:
    scorer_point(site, "extra", "extra_module:scorer")
    (site / "extra_module.py").write_text("raise RuntimeError")
    found, broken = registry.load_scorers(["svdh"])
    assert found.keys() == {"svdh"}
    assert broken == []


def test_a_name_taken_twice_is_told(site: Path) -> None:
    install("ra_scorer_mean", site)
    (site / "again.py").write_text("from ra_scorer_mean import MeanScorer")
    scorer_point(site, "mean", "zz_again:MeanScorer")
    (site / "again.py").rename(site / "zz_again.py")
    found, broken = registry.load_scorers()
    assert "mean" in found
    assert [b.reason for b in broken] == ["another distribution uses this name"]


def test_backends_are_found() -> None:
    found, broken = registry.load_backends()
    assert found["onnxruntime"].name == "onnxruntime"
    assert broken == []


def test_a_bundle_without_folder_is_told(site: Path) -> None:
    info = site / "extra-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.BUNDLES}]\nabsent = extra_module:folder\n")
    (site / "extra_module.py").write_text(
        "from pathlib import Path\ndef folder(): return Path('/no/such/folder')"
    )
    found, broken = registry.load_bundles()
    assert "absent" not in found
    assert ("absent", "gives no folder") in [(b.name, b.reason) for b in broken]
