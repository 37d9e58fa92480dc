"""Scores of hands and of both hands: never on each other's scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle
from ra_engine.plan import Plan, plan
from ra_engine.spec import EngineSpec
from ra_engine.testing import sample_landmarks
from ra_engine.types import Category, Heatmap, Measurement, Radiograph, ScoredImage, Side
from ra_engine.views import hand_view
from ra_plugins.gradcam import GradCamScorer
from ra_plugins.severity import SeverityScorer
from ra_plugins.svdh import HAND, MEMBER, TOTAL, SvdhScorer
from tests.support.bundles import SCORE, score_bundle


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    bundle = load_bundle(score_bundle(tmp_path_factory.mktemp("b") / "small"))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    return plan([SvdhScorer(), SeverityScorer(), GradCamScorer()], [(bundle, session)])


def image(*sides: Side) -> ScoredImage:
    pixels = np.random.default_rng(5).integers(0, 4096, (320, 200 * len(sides)), dtype=np.uint16)
    views = tuple(
        replace(hand_view(sample_landmarks(90.0 + 200 * k, 290, 120), index=k), side=side)
        for k, side in enumerate(sides)
    )
    return ScoredImage(instance="one", radiograph=Radiograph(pixels=pixels), views=views)


def measured(chosen: Plan, *sides: Side) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for finding in chosen.run([image(*sides)])[0]:
        if isinstance(finding, Measurement):
            found.setdefault(finding.kind, []).append(finding)
    return found


BOTH = (Side.IMAGE_LEFT, Side.IMAGE_RIGHT)


def test_two_hands_give_one_total_that_is_their_sum(chosen: Plan) -> None:
    found = measured(chosen, *BOTH)
    assert found.keys() == {"svdh_total", "svdh_image_left", "svdh_image_right", "svdh_member"}
    (total,) = found["svdh_total"]
    hands = [found["svdh_image_left"][0], found["svdh_image_right"][0]]
    assert total.value == pytest.approx(sum(h.value for h in hands))
    assert (total.scale_max, total.code, total.view) == (280, TOTAL, None)
    assert [(h.scale_max, h.code, h.view) for h in hands] == [(140, HAND, 0), (140, HAND, 1)]


def test_the_interval_of_the_total_is_its_own(chosen: Plan) -> None:
    found = measured(chosen, *BOTH)
    total = found["svdh_total"][0]
    assert total.value > 20  # the second band of the table for both hands: - 10, + 14
    assert total.interval is not None
    assert total.interval.low == pytest.approx(total.value - 10)
    assert total.interval.high == pytest.approx(total.value + 14)
    hand = found["svdh_image_left"][0]
    assert hand.interval is not None
    assert hand.interval.high == pytest.approx(hand.value + 12)


def test_members_speak_of_what_the_score_speaks_of(chosen: Plan) -> None:
    found = measured(chosen, *BOTH)
    members = found["svdh_member"]
    total = found["svdh_total"][0]
    assert [m.label for m in members] == ["one", "two", "three"]
    assert np.mean([m.value for m in members]) == pytest.approx(total.value)
    assert total.spread == pytest.approx(np.std([m.value for m in members]))
    assert {(m.scale_max, m.view, m.code) for m in members} == {(280, None, MEMBER)}


@pytest.mark.parametrize(
    ("side", "kind"),
    [(Side.LEFT, "svdh_left"), (Side.RIGHT, "svdh_right"), (Side.UNKNOWN, "svdh_hand")],
)
def test_one_hand_has_no_total(chosen: Plan, side: Side, kind: str) -> None:
    found = measured(chosen, side)
    assert found.keys() == {kind, "svdh_member"}
    (hand,) = found[kind]
    assert (hand.scale_max, hand.side, hand.code) == (140, side, HAND)
    assert {m.scale_max for m in found["svdh_member"]} == {140}


def test_disputed_sides_leave_the_total_alone(chosen: Plan) -> None:
    found = measured(chosen, Side.UNKNOWN, Side.UNKNOWN)
    assert found.keys() == {"svdh_total", "svdh_member"}


def test_codes_of_hand_and_total_differ() -> None:
    assert len({TOTAL[0], HAND[0], MEMBER[0]}) == 3
    assert {TOTAL[1], HAND[1], MEMBER[1]} == {"99RADAEMON"}


def test_a_score_off_the_scale_is_clipped(tmp_path: Path) -> None:
    text = SCORE.replace('rubric = "test"', 'rubric = "test"\nscale_max = 5.0')
    bundle = load_bundle(score_bundle(tmp_path / "b", manifest=text))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec(threads=1))
    small = plan([SvdhScorer(), SeverityScorer()], [(bundle, session)])
    found = measured(small, *BOTH)
    total = found["svdh_total"][0]
    assert (total.value, total.scale_max) == (10, 10)
    assert total.interval is not None
    assert total.interval.high == 10
    (band,) = [f for f in small.run([image(*BOTH)])[0] if isinstance(f, Category)]
    assert band.index == 2  # of the clipped total, which the report shows


def test_the_band_is_of_the_scale_that_is_shown(chosen: Plan) -> None:
    for sides, edges in ((BOTH, (0.0, 32.0)), ((Side.LEFT,), (0.0, 16.0))):
        findings = chosen.run([image(*sides)])[0]
        (band,) = [f for f in findings if isinstance(f, Category)]
        assert band.edges == edges
        assert band.label == f"damage band {band.index} of 3"
        assert sum(band.probabilities) == pytest.approx(1)
        assert band.reference == "generated radiographs"
        assert (band.view, band.side) == (
            (None, Side.UNKNOWN) if len(sides) == 2 else (0, Side.LEFT)
        )


def test_probabilities_of_two_hands_follow_the_manifest(chosen: Plan) -> None:
    pair = image(*BOTH)
    findings = chosen.run([pair])[0]
    (band,) = [f for f in findings if isinstance(f, Category)]
    total = next(f.value for f in findings if isinstance(f, Measurement))
    batch_logits = [2 * 4 * total / 120 - 2 * k for k in (0, 1)]  # of means m: score = 60 m
    above = [
        1 / (1 + np.exp(-(np.log1p(total) + 0.5 * z + c)))
        for z, c in zip(batch_logits, (0, -3), strict=True)
    ]
    want = (1 - above[0], above[0] - min(above), min(above))
    assert band.probabilities == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize(
    ("sides", "kinds"),
    [
        (BOTH, ["svdh_image_left", "svdh_image_right"]),
        ((Side.RIGHT,), ["svdh_right"]),
        ((Side.UNKNOWN,), ["svdh_hand"]),
        ((Side.UNKNOWN, Side.UNKNOWN), ["svdh_total", "svdh_total"]),
    ],
)
def test_a_heatmap_names_a_score_that_was_given(
    chosen: Plan, sides: tuple[Side, ...], kinds: list[str]
) -> None:
    findings = chosen.run([image(*sides)])[0]
    maps = [f for f in findings if isinstance(f, Heatmap)]
    assert [m.score_kind for m in maps] == kinds
    assert [m.view for m in maps] == list(range(len(sides)))
    assert set(kinds) <= {f.kind for f in findings if isinstance(f, Measurement)}
    assert {(m.threshold, m.full_scale, m.cam.shape) for m in maps} == {(0.1, 5.0, (4, 3))}
    digests = {f.model.digest for f in findings if isinstance(f, Measurement | Heatmap | Category)}
    assert len(digests) == 1
