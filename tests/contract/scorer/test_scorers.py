"""Every scorer we ship, and every one we pretend others ship, against the same contract."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ra_engine import registry
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle
from ra_engine.contracts import Scorer
from ra_engine.errors import ScorerError
from ra_engine.plan import plan
from ra_engine.spec import EngineSpec
from ra_engine.testing import check_scorer, sample_batch
from ra_engine.types import Finding, QualityFlag, ScoredImage
from ra_plugins import bundles
from ra_plugins.gradcam import GradCamScorer
from ra_plugins.severity import SeverityScorer
from ra_plugins.svdh import SvdhScorer
from tests.support.bundles import score_bundle
from tests.support.paths import REPOSITORY

BUILT_IN = (SvdhScorer, SeverityScorer, GradCamScorer)


def check_on(scorer: Scorer, folder: Path) -> None:
    bundle = load_bundle(folder)
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    outputs = plan([scorer], [(bundle, session)]).outputs(sample_batch())
    writeable = {
        role: type(out)(
            role=role,
            arrays={k: np.array(v) for k, v in out.arrays.items()},
            model=out.model,
            manifest=out.manifest,
        )
        for role, out in outputs.items()
    }
    check_scorer(scorer, writeable)


@pytest.mark.parametrize("scorer", BUILT_IN)
def test_built_in_scorers_keep_the_contract(scorer: type[Scorer], tmp_path: Path) -> None:
    check_on(scorer(), score_bundle(tmp_path / "small"))


@pytest.mark.parametrize("scorer", BUILT_IN)
def test_built_in_scorers_keep_it_on_the_bundle_that_ships(scorer: type[Scorer]) -> None:
    if not (bundles.demo() / "SHA256SUMS").is_file():
        pytest.skip("no demonstration bundle in this checkout")
    check_on(scorer(), bundles.demo())


def test_entry_points_name_the_scorers() -> None:
    found, _ = registry.load_scorers()
    assert {found[s.name].__class__ for s in BUILT_IN} == set(BUILT_IN)


@pytest.fixture
def bad() -> ModuleType:
    path = REPOSITORY / "tests" / "thirdparty" / "ra_scorer_bad" / "ra_scorer_bad.py"
    spec = importlib.util.spec_from_file_location("ra_scorer_bad_here", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(scorer: Scorer, images: tuple[ScoredImage, ...]) -> list[list[Finding]]:
    return plan([scorer], []).run(images)


@pytest.mark.parametrize("name", ["Raiser", "Sleeper", "NativeHang", "Eater"])
def test_bad_scorers_are_good_to_innocent_images(
    bad: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bad.TRIGGER, "another-image")
    scorer = getattr(bad, name)()
    check_scorer(scorer)
    found = score(scorer, sample_batch().images)
    assert found[0] == [QualityFlag(code="checked", text=scorer.name)]


def test_the_raiser_hits_its_image_only(bad: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bad.TRIGGER, "sample-2")
    images = sample_batch().images
    assert score(bad.Raiser(), images[:2])
    with pytest.raises(ScorerError) as caught:
        score(bad.Raiser(), images)
    assert caught.value.scorer == "raiser"
    assert "DOE" not in str(caught.value)


def test_the_first_pixel_triggers_where_no_image_is_named(
    bad: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(bad.TRIGGER, raising=False)
    image = sample_batch().images[0]
    image.radiograph.pixels[0, 0] = 4095
    with pytest.raises(ScorerError):
        score(bad.Raiser(), (image,))
    image.radiograph.pixels[0, 0] = 4094
    assert score(bad.Raiser(), (image,))
