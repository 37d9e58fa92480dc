"""A scored image with known findings, made without a model."""

from __future__ import annotations

import numpy as np

from ra_daemon.domain import Scored
from ra_engine.types import (
    Category,
    Finding,
    HandView,
    Heatmap,
    Interval,
    Measurement,
    ModelRef,
    QualityFlag,
    Side,
)
from ra_engine.views import hand_view
from ra_plugins.severity import CODE
from ra_plugins.svdh import HAND, MEMBER, TOTAL

MODEL = ModelRef(
    bundle="demo", version="1.0.0", digest="ab" * 32, engine="onnxruntime-1-cpu",
    precision="fp32", preprocessing="cd" * 32, intended_use="demonstration",
)  # fmt: skip


def view(index: int, side: Side) -> HandView:
    """A hand at a fixed place."""
    points = np.zeros((21, 2), np.float32)
    points[:, 0] = 90 + 200 * index + np.linspace(-40, 40, 21)
    points[:, 1] = np.linspace(60, 200, 21)
    points[0], points[10], points[4] = (90 + 200 * index, 280), (90 + 200 * index, 180), (150, 200)
    return hand_view(points, index=index, side=side)


def both_hands() -> Scored:
    """A two-hand result: total 30.2 in [20, 40], band 4 of 7, two members, two maps."""
    sides = (Side.IMAGE_LEFT, Side.IMAGE_RIGHT)
    limits = Interval(low=20.0, high=40.0)
    cam = np.zeros((24, 18), np.float32)
    cam[8, 9] = 2.5
    findings: list[Finding] = [
        Measurement(
            kind="svdh_total", label="Estimated radiographic joint damage (SvdH), both hands",
            value=30.2, units="1", code=TOTAL, model=MODEL, interval=limits, spread=2.0,
            scale_max=280,
        )
    ]  # fmt: skip
    findings += [
        Measurement(
            kind=f"svdh_{s.value.replace('-', '_')}", label=f"Estimated damage, {s.value} hand",
            value=15.1, units="1", code=HAND, model=MODEL, interval=limits, view=i, side=s,
            scale_max=140,
        )
        for i, s in enumerate(sides)
    ]  # fmt: skip
    findings += [
        Measurement(
            kind="svdh_member", label=n, value=29.0, units="1", code=MEMBER, model=MODEL,
            scale_max=280,
        )
        for n in ("residual", "plain")
    ]  # fmt: skip
    findings.append(_band(None))
    findings += [
        Heatmap(
            cam=cam, threshold=0.2, full_scale=3.0, score_kind="svdh_total", model=MODEL, view=i
        )
        for i in (0, 1)
    ]
    findings.append(QualityFlag(code="sides_by_place", text="Sides by place in the image"))
    return Scored(
        views=tuple(view(i, s) for i, s in enumerate(sides)), findings=tuple(findings),
        laterality=Side.UNKNOWN, laterality_source="position", hands="both",
    )  # fmt: skip


def left_hand() -> Scored:
    """A one-hand result: the left hand, 12 in [8, 19]."""
    limits = Interval(low=8.0, high=19.0)
    score = Measurement(
        kind="svdh_left", label="Estimated damage, left hand", value=12.0, units="1", code=HAND,
        model=MODEL, interval=limits, view=0, side=Side.LEFT, scale_max=140,
    )  # fmt: skip
    return Scored(
        views=(view(0, Side.LEFT),), findings=(score, _band(0)), laterality=Side.LEFT,
        laterality_source="ImageLaterality", hands="left",
    )  # fmt: skip


def _band(where: int | None) -> Category:
    return Category(
        kind="severity", label="damage band 4 of 7", index=4, edges=(0, 6, 16, 32, 64, 120),
        probabilities=(0.0, 0.1, 0.2, 0.4, 0.2, 0.1, 0.0), code=CODE, model=MODEL, view=where,
        reference="generated clinic cohort (phantom)",
    )  # fmt: skip
