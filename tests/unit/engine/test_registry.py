"""Plugins are found through entry points; a broken one stops nobody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ra_engine import registry
from ra_engine.testing import check_scorer
from tests.support.thirdparty import entry_point, install


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
    entry_point(folder, registry.SCORERS, name, target, dist=dist)


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


MEAN = """
class Mine:
    name, api_version, needs = {name!r}, 1, {{}}
    def score(self, batch, outputs): return [[] for _ in batch.images]
"""


def test_no_scorer_takes_the_name_of_a_built_in(site: Path) -> None:
    scorer_point(site, "svdh", "aaa_module:Mine", dist="aaa")
    (site / "aaa_module.py").write_text(MEAN.format(name="svdh"))
    found, broken = registry.load_scorers()
    assert type(found["svdh"]).__module__ == "ra_plugins.svdh"
    (fault,) = broken
    assert (fault.name, fault.origin) == ("svdh", "aaa 1.0")
    assert fault.reason == "a built-in uses this name"
    assert "aaa_module" not in sys.modules
    assert registry.origins(registry.SCORERS)["svdh"].startswith("ra-daemon ")


def test_a_name_does_not_change_hands_when_its_owner_breaks(site: Path) -> None:
    for dist, body in (("aaa", "raise RuntimeError"), ("bbb", MEAN.format(name="twice"))):
        scorer_point(site, "twice", f"{dist}_module:Mine", dist=dist)
        (site / f"{dist}_module.py").write_text(body)
    found, broken = registry.load_scorers()
    assert "twice" not in found
    assert {(b.origin, b.reason) for b in broken} == {
        ("aaa 1.0", "RuntimeError: "),
        ("bbb 1.0", "another distribution uses this name"),
    }


def test_no_bundle_takes_the_name_of_a_built_in(site: Path) -> None:
    entry_point(site, registry.BUNDLES, "demo", "aaa_module:folder", dist="aaa")
    (site / "aaa_module.py").write_text(f"def folder(): return {str(site)!r}")
    found, broken = registry.load_bundles()
    assert found["demo"].parent.name == "bundles"
    assert [(b.name, b.origin) for b in broken] == [("demo", "aaa 1.0")]


def test_a_bundle_may_be_named_as_text(site: Path) -> None:
    entry_point(site, registry.BUNDLES, "mine", "aaa_module:folder")
    (site / "aaa_module.py").write_text(f"def folder(): return {str(site)!r}")
    assert registry.load_bundles()[0]["mine"] == site


def test_a_bundle_without_folder_is_told(site: Path) -> None:
    entry_point(site, registry.BUNDLES, "absent", "extra_module:folder")
    (site / "extra_module.py").write_text(
        "from pathlib import Path\ndef folder(): return Path('/no/such/folder')"
    )
    found, broken = registry.load_bundles()
    assert "absent" not in found
    assert ("absent", "gives no folder") in [(b.name, b.reason) for b in broken]
