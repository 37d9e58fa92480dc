"""Bundles of whole images: one score an image, never the sum of what its views repeat."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ra_daemon.dicom.capture import draw
from ra_daemon.domain import Reason, Scored
from ra_daemon.steps.gate import judge_hands
from ra_daemon.store.findings import dump_heatmaps, dump_scored, load_heatmaps, load_scored
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle
from ra_engine.errors import BundleError
from ra_engine.findings import problem
from ra_engine.plan import Plan, plan
from ra_engine.prepare import prepare_image
from ra_engine.spec import EngineSpec
from ra_engine.testing import check_scorer, sample_batch
from ra_engine.types import Category, Finding, Heatmap, Measurement, Radiograph, ScoredImage, Side
from ra_engine.views import apply, hand_view
from ra_plugins.gradcam import GradCamScorer
from ra_plugins.severity import SeverityScorer
from ra_plugins.svdh import SvdhScorer
from tests.support.bundles import SCORE, score_bundle

EITHER = SCORE.replace('unit = "hand"', 'unit = "image"').replace("hand_view", "letterbox")
BOTH = re.sub(r"\[score\.hand\].*?(?=\[score\.both\])", "", EITHER, flags=re.DOTALL).replace(
    "edges_hand = [0.0, 16.0]\n", ""
)
BOTH = re.sub(r"^[abc] = .*\n", "", BOTH, flags=re.MULTILINE)


def planned(folder: Path, manifest: str) -> Plan:
    bundle = load_bundle(score_bundle(folder, manifest=manifest))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    return plan([SvdhScorer(), SeverityScorer(), GradCamScorer()], [(bundle, session)])


@pytest.fixture
def both(tmp_path: Path) -> Plan:
    return planned(tmp_path / "both", BOTH)


TWO, ONE = sample_batch().images[:2]


def said(chosen: Plan, image: ScoredImage) -> dict[str, Any]:
    """What the graph gives for the image."""
    bundle, session = chosen.roles["svdh"]
    tensor, _ = prepare_image(image.radiograph, bundle.manifest.preprocessing.spec())
    return dict(session.run(tensor[None]))


def of_kind(findings: list[Finding], kind: str) -> list[Any]:
    return [f for f in findings if getattr(f, "kind", "") == kind]


def test_an_image_of_two_hands_has_the_score_of_the_graph_once(both: Plan) -> None:
    findings = both.run([TWO])[0]
    (total,) = of_kind(findings, "svdh_total")
    assert total.value == pytest.approx(float(said(both, TWO)["score"][0]), abs=1e-4)
    assert (total.scale_max, total.view) == (280, None)
    assert total.interval.high == pytest.approx(total.value + (7 if total.value <= 20 else 14))
    members = of_kind(findings, "svdh_member")
    assert [m.value for m in members] == pytest.approx(
        said(both, TWO)["members"][0].tolist(), abs=1e-4
    )
    assert {m.scale_max for m in members} == {280}
    kinds = {f.kind for f in findings if isinstance(f, Measurement)}
    assert kinds == {"svdh_total", "svdh_member"}, "no hand has a score of its own"


def test_its_band_is_that_of_the_graph_by_the_edges_of_both_hands(both: Plan) -> None:
    (band,) = of_kind(both.run([TWO])[0], "severity")
    assert isinstance(band, Category)
    assert band.edges == (0.0, 32.0)
    logits = said(both, TWO)["class_logits"][0].astype(float)
    above = np.minimum.accumulate(1 / (1 + np.exp(-logits)))
    assert band.probabilities[0] == pytest.approx(1 - above[0], abs=1e-5)


def test_an_image_that_the_model_was_not_made_for_has_no_number(both: Plan) -> None:
    findings = both.run([ONE])[0]
    assert not [f for f in findings if isinstance(f, Measurement | Category)]
    assert both.roles["svdh"][0].manifest.hands == {2}
    refused = judge_hands(SimpleNamespace(hands=(1,)), frozenset({2}))  # type: ignore[arg-type]
    assert refused is not None
    assert refused.reason is Reason.HANDS_NOT_SCORED
    assert refused.detail == "It shows one hand; the model is for both hands."


def test_a_model_of_either_image_keeps_their_scales_apart(tmp_path: Path) -> None:
    either = planned(tmp_path / "either", EITHER)
    assert either.roles["svdh"][0].manifest.hands == {1, 2}
    alone = either.run([ONE])[0]
    (hand,) = of_kind(alone, "svdh_left")
    assert (hand.scale_max, hand.view) == (140, 0)
    assert of_kind(alone, "severity")[0].edges == (0.0, 16.0)
    assert of_kind(either.run([TWO])[0], "svdh_total")[0].scale_max == 280


def test_the_three_scorers_keep_their_contract(both: Plan, tmp_path: Path) -> None:
    for chosen in (both, planned(tmp_path / "either", EITHER)):
        outputs = chosen.outputs(sample_batch())
        for scorer in chosen.scorers:
            check_scorer(scorer, outputs)


def test_the_map_lies_on_the_whole_image_and_survives_the_store(both: Plan) -> None:
    findings = both.run([TWO])[0]
    (heatmap,) = [f for f in findings if isinstance(f, Heatmap)]
    spec = both.roles["svdh"][0].manifest.preprocessing.spec()
    assert heatmap.view is None
    assert heatmap.to_image == prepare_image(TWO.radiograph, spec)[1]
    assert heatmap.score_kind == "svdh_total"
    scored = Scored(
        views=TWO.views, findings=tuple(findings), laterality=Side.UNKNOWN,
        laterality_source="position", hands="both",
    )  # fmt: skip
    data = dump_heatmaps(scored)
    assert data is not None
    again = load_scored(dump_scored(scored), load_heatmaps(data))
    (kept,) = [f for f in again.findings if isinstance(f, Heatmap)]
    assert (kept.view, kept.to_image) == (None, heatmap.to_image)


def test_an_image_that_lies_turned_is_turned_for_the_model(both: Plan) -> None:
    """A plate stored a quarter clockwise: the score of the upright one, the map where it lies."""
    rows, _ = TWO.radiograph.pixels.shape
    views = [
        hand_view(np.stack([rows - 1 - v.landmarks[:, 1], v.landmarks[:, 0]], 1), index=v.index)
        for v in TWO.views
    ]
    pixels = np.ascontiguousarray(np.rot90(TWO.radiograph.pixels, -1))
    turned = replace(TWO, radiograph=Radiograph(pixels=pixels), views=tuple(views))
    upright, found = both.run([TWO])[0], both.run([turned])[0]
    (one,), (other,) = of_kind(upright, "svdh_total"), of_kind(found, "svdh_total")
    assert other.value == pytest.approx(one.value, abs=1e-4)
    (before,), (after,) = ([f for f in s if isinstance(f, Heatmap)] for s in (upright, found))
    assert before.to_image is not None
    assert after.to_image is not None
    corners = np.array([[0, 0], [1, 0], [0.3, 0.9]], np.float32)
    x, y = apply(before.to_image, corners).T
    assert apply(after.to_image, corners) == pytest.approx(np.stack([rows - 1 - y, x], 1), abs=1e-3)


def test_the_capture_shows_it_where_the_model_looked(both: Plan) -> None:
    (heatmap,) = [f for f in both.run([TWO])[0] if isinstance(f, Heatmap)]
    cam = np.zeros((4, 3), np.float32)
    cam[1, 0] = 5.0  # above the middle, at the left edge
    grey = Radiograph(pixels=np.full((400, 300), 100, np.uint16), window=(100.0, 200.0))
    lit = replace(heatmap, cam=cam, to_image=(300.0, 0.0, -0.5, 0.0, 400.0, -0.5))
    scored = Scored(
        views=TWO.views, findings=(lit,), laterality=Side.UNKNOWN, laterality_source="position",
        hands="both",
    )  # fmt: skip
    picture = draw(grey, scored, demonstration=False)
    plain, overlay = picture[96 : 96 + 400, :300], picture[96 : 96 + 400, 306:606]
    changed = np.argwhere((plain != overlay).any(2))
    y, x = changed.mean(0)
    assert 100 < y < 200
    assert x < 110


def test_a_map_must_say_where_it_lies(both: Plan) -> None:
    (heatmap,) = [f for f in both.run([TWO])[0] if isinstance(f, Heatmap)]
    assert "lies neither" in problem([replace(heatmap, to_image=None)], TWO)
    assert "lies neither" in problem([replace(heatmap, view=0)], TWO)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (SCORE.replace("hand_view", "letterbox"), "letterbox"),
        (BOTH.replace("[score.both]", "[score.other]"), "other"),
        (BOTH.replace("edges_both = [0.0, 32.0]\n", ""), "edges of every kind of image"),
        (SCORE.replace("a = [1.0, 1.0]\n", ""), "with unit 'hand'"),
        (
            re.sub(r"\[score\.hand\].*?(?=\[score\.both\])", "", SCORE, flags=re.DOTALL),
            "calibration tables",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_its_unit_is_refused(
    tmp_path: Path, wrong: str, text: str
) -> None:
    with pytest.raises(BundleError, match=text):
        load_bundle(score_bundle(tmp_path / "wrong", manifest=wrong))
