"""The sum of two images says what an image of both hands would say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ra_daemon.domain import Scored
from ra_daemon.worker.aggregate import total_of
from ra_engine.bundle import load_bundle
from ra_engine.intervals import interval
from ra_engine.manifest import Manifest
from ra_engine.types import Category, Measurement, QualityFlag, Side
from tests.support.bundles import SCORE, score_bundle
from tests.support.pairs import Hands, demo, model_of

BUNDLE = demo()
MANIFEST, MODEL = BUNDLE.manifest, model_of(BUNDLE)


def installed(digest: str) -> Manifest | None:
    return MANIFEST if digest == BUNDLE.digest else None


def of_kind(scored: Scored, kind: str) -> list[Measurement]:
    return [f for f in scored.findings if isinstance(f, Measurement) and f.kind == kind]


def bands(scored: Scored) -> list[Category]:
    return [f for f in scored.findings if isinstance(f, Category)]


def flags(scored: Scored) -> list[str]:
    return [f.code for f in scored.findings if isinstance(f, QualityFlag)]


def summed(seed: int) -> tuple[Scored, Scored]:
    """The aggregate of two images, and the verdict on one image of both hands."""
    hands = Hands.drawn(MANIFEST, seed)
    found = total_of(*hands.apart(MANIFEST, MODEL), installed)
    assert found is not None
    return found, hands.together(MANIFEST, MODEL)


@pytest.mark.parametrize("seed", range(20))
def test_it_equals_an_image_of_both_hands(seed: int) -> None:
    found, whole = summed(seed)
    assert of_kind(found, "svdh_total") == of_kind(whole, "svdh_total")
    assert of_kind(found, "svdh_member") == of_kind(whole, "svdh_member")
    (band,), (expected,) = bands(found), bands(whole)
    assert band.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert replace(band, probabilities=()) == replace(expected, probabilities=())
    assert (found.hands, found.laterality) == ("both", Side.UNKNOWN)


def test_its_interval_is_the_tables_for_sums() -> None:
    found, _ = summed(3)
    (total,) = of_kind(found, "svdh_total")
    assert MANIFEST.score is not None
    assert MANIFEST.score.both is not None
    assert total.interval == interval(MANIFEST.score.both, total.value, 280)
    assert total.interval.calibrated_on == "generated clinic cohort (phantom)"
    left, right = (of_kind(found, f"svdh_{s}")[0].interval for s in ("left", "right"))
    assert left is not None
    assert right is not None
    widths = [i.high - i.low for i in (total.interval, left, right)]
    assert widths[0] < widths[1] + widths[2], "never added up from the hands' limits"


def test_a_repeated_side_is_flagged_with_its_hand() -> None:
    hands = Hands.drawn(MANIFEST, 1).apart(MANIFEST, MODEL)
    for repeated, views in (((), []), (("right",), [1]), (("left", "right"), [0, 1])):
        found = total_of(*hands, installed, repeated)
        assert found is not None
        told = [f for f in found.findings if getattr(f, "code", "") == "side_repeated"]
        assert [f.view for f in told if isinstance(f, QualityFlag)] == views


def test_each_hand_keeps_its_view_and_its_flags() -> None:
    left, right = Hands.drawn(MANIFEST, 1).apart(MANIFEST, MODEL)
    blurred = QualityFlag(code="low_contrast", text="Low contrast.", view=0)
    right = replace(right, findings=(*right.findings, blurred))
    found = total_of(left, right, installed)
    assert found is not None
    assert [(v.index, v.side) for v in found.views] == [(0, Side.LEFT), (1, Side.RIGHT)]
    assert [v.side_source for v in found.views] == ["ImageLaterality", "Laterality"]
    assert [of_kind(found, f"svdh_{s}")[0].view for s in ("left", "right")] == [0, 1]
    kept = [f for f in found.findings if isinstance(f, QualityFlag)]
    assert replace(blurred, view=1) in kept
    assert flags(found) == ["aggregate", "low_contrast"]


def test_it_tells_that_a_side_came_from_a_letter() -> None:
    left, right = Hands.drawn(MANIFEST, 1).apart(MANIFEST, MODEL)
    by_tags = total_of(left, right, installed)
    assert by_tags is not None
    assert by_tags.laterality_source == "tags"
    for pair in ((replace(left, laterality_source="marker"), right),
                 (left, replace(right, laterality_source="marker"))):  # fmt: skip
        found = total_of(*pair, installed)
        assert found is not None
        assert found.laterality_source == "marker"


def on(scored: Scored, **changes: str) -> Scored:
    """The same verdict of another device, engine or precision."""
    return replace(
        scored,
        findings=tuple(
            f if isinstance(f, QualityFlag) else replace(f, model=replace(f.model, **changes))  # type: ignore[arg-type]
            for f in scored.findings
        ),
    )


def test_hands_of_two_devices_are_summed_and_both_are_told() -> None:
    left, right = Hands.drawn(MANIFEST, 5).apart(MANIFEST, MODEL)
    alone = total_of(left, right, installed)
    found = total_of(on(left, device="cuda:1"), on(right, device="cuda:0"), installed)
    assert alone is not None
    assert found is not None
    (total,), (band,) = of_kind(found, "svdh_total"), bands(found)
    assert total.model.device == "cuda:0 + cuda:1" == band.model.device
    assert {m.model.device for m in of_kind(found, "svdh_member")} == {"cuda:0 + cuda:1"}
    assert [of_kind(found, f"svdh_{s}")[0].model.device for s in ("left", "right")] == [
        "cuda:1", "cuda:0",
    ]  # fmt: skip
    assert replace(total, model=MODEL) == of_kind(alone, "svdh_total")[0]


@pytest.mark.parametrize("change", [{"engine": "other"}, {"precision": "int8"}, {"version": "9"}])
def test_hands_of_two_engines_or_bundles_are_not_summed(change: dict[str, str]) -> None:
    left, right = Hands.drawn(MANIFEST, 5).apart(MANIFEST, MODEL)
    assert total_of(on(left, **change), right, installed) is None


def test_without_the_bundle_there_is_no_interval_and_it_is_told() -> None:
    hands = Hands.drawn(MANIFEST, 2)
    found = total_of(*hands.apart(MANIFEST, MODEL), lambda _digest: None)
    assert found is not None
    (total,) = of_kind(found, "svdh_total")
    assert total.interval is None
    assert total.spread == pytest.approx(np.std([m.value for m in of_kind(found, "svdh_member")]))
    assert bands(found) == []
    assert flags(found) == ["aggregate", "no_interval"]


def test_a_model_of_whole_images_has_no_table_for_sums(tmp_path: Path) -> None:
    text = SCORE.replace('unit = "hand"', 'unit = "image"').replace("hand_view", "letterbox")
    text = re.sub(r"^[abc] = .*\n", "", text, flags=re.MULTILINE)
    bundle = load_bundle(score_bundle(tmp_path / "whole", manifest=text))
    hands = Hands.drawn(bundle.manifest, 4)
    left, right = hands.apart(bundle.manifest, model_of(bundle))
    found = total_of(left, right, lambda _digest: bundle.manifest)
    assert found is not None
    (total,), (band,) = of_kind(found, "svdh_total"), bands(found)
    assert total.interval is None
    assert "no_interval" in flags(found)
    assert (band.edges, band.probabilities) == ((0.0, 32.0), ())
    assert band.label == f"damage band {band.index} of 3"


def test_results_of_different_engines_are_not_summed() -> None:
    left, right = Hands.drawn(MANIFEST, 5).apart(MANIFEST, MODEL)
    other = Hands.drawn(MANIFEST, 5).apart(MANIFEST, replace(MODEL, precision="int8"))[1]
    assert total_of(left, other, installed) is None
    assert total_of(left, replace(right, findings=()), installed) is None
