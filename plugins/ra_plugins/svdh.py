"""Scorer ``svdh``: estimated radiographic joint damage of each hand, and of both together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ra_engine.intervals import interval
from ra_engine.manifest import Score
from ra_engine.types import Batch, Finding, Interval, Measurement, ModelRef, Output, Side

TOTAL = ("RA0001", "99RADAEMON", "Estimated SvdH score, both hands, range 0-280")
HAND = ("RA0002", "99RADAEMON", "Estimated SvdH score, one hand, range 0-140")
MEMBER = ("RA0003", "99RADAEMON", "Estimated SvdH score of one ensemble member")
HAND_KIND = {
    Side.LEFT: "svdh_left",
    Side.RIGHT: "svdh_right",
    Side.IMAGE_LEFT: "svdh_image_left",
    Side.IMAGE_RIGHT: "svdh_image_right",
    Side.UNKNOWN: "svdh_hand",
}
_UNIT = "1"


class SvdhScorer:
    """Score, interval and members; two hands give a total with an interval of its own."""

    name = "svdh"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {"svdh": ("members", "score")}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> list[list[Finding]]:
        """See ``ra_engine.contracts.Scorer``."""
        output = outputs["svdh"]
        table = Score.model_validate(output.manifest["score"])
        found = []
        for i, image in enumerate(batch.images):
            rows = [r for r, (j, _) in enumerate(batch.rows) if j == i]
            sides = [v.side for v in image.views]
            whole = output.manifest["unit"] == "image"
            scale = table.scale_max * (len(rows) if whole else 1)
            scores = np.clip(output.arrays["score"][rows].astype(float), 0, scale)
            members = np.clip(output.arrays["members"][rows].astype(float), 0, scale)
            if whole:
                found.append(_whole_image(scores, members, sides, table, output.model))
            else:
                found.append(_image(scores, members, sides, table, output.model))
        return found


def _whole_image(
    scores: NDArray[np.float64],
    members: NDArray[np.float64],
    sides: Sequence[Side],
    table: Score,
    model: ModelRef,
) -> list[Finding]:
    """One score of an image with one hand or two; nothing where the model knows no such image."""
    hands = len(sides)
    limits_of = {1: table.hand, 2: table.both}.get(hands)
    if limits_of is None:
        return []
    value, scale = float(scores[0]), table.scale_max * hands
    limits = interval(limits_of, value, scale)
    first = (
        _total(value, members[0], scale, limits, model)
        if hands == 2
        else _hand(value, members[0], scale, limits, model, 0, sides[0])
    )
    return [first, *_members(members[0], sides, scale, table, model)]


def _image(
    scores: NDArray[np.float64],
    members: NDArray[np.float64],
    sides: Sequence[Side],
    table: Score,
    model: ModelRef,
) -> list[Finding]:
    if len(scores) == 0:
        return []
    both = len(scores) == 2
    findings: list[Finding] = []
    scale = table.scale_max * len(scores)
    whole = float(scores.sum())
    if both and table.both is not None:
        limits = interval(table.both, whole, scale)
        findings.append(_total(whole, members.sum(0), scale, limits, model))
    # Sides that tags and pixels dispute get no score of their own: the total stands alone.
    if table.hand is not None and not (both and Side.UNKNOWN in sides):
        for view, side in enumerate(sides):
            value = float(scores[view])
            limits = interval(table.hand, value, table.scale_max)
            findings.append(_hand(value, members[view], table.scale_max, limits, model, view, side))
    findings.extend(_members(members.sum(0), sides, scale, table, model))
    return findings


def _members(
    values: NDArray[np.float64], sides: Sequence[Side], scale: float, table: Score, model: ModelRef
) -> list[Finding]:
    both = len(sides) == 2
    return [
        Measurement(
            kind="svdh_member", label=name, value=float(value), units=_UNIT, code=MEMBER,
            model=model, view=None if both else 0,
            side=Side.UNKNOWN if both else sides[0], scale_max=scale,
        )
        for name, value in zip(table.members, values, strict=True)
    ]  # fmt: skip


def _total(
    value: float, members: NDArray[np.float64], scale: float, limits: Interval, model: ModelRef
) -> Measurement:
    return Measurement(
        kind="svdh_total", label="Estimated radiographic joint damage (SvdH), both hands",
        value=value, units=_UNIT, code=TOTAL, model=model, interval=limits,
        spread=float(members.std()), scale_max=scale,
    )  # fmt: skip


def _hand(
    value: float, members: NDArray[np.float64], scale: float, limits: Interval, model: ModelRef,
    view: int, side: Side,
) -> Measurement:  # fmt: skip
    where = "hand" if side is Side.UNKNOWN else f"{side.value} hand"
    return Measurement(
        kind=HAND_KIND[side], label=f"Estimated radiographic joint damage (SvdH), {where}",
        value=value, units=_UNIT, code=HAND, model=model, view=view, side=side, interval=limits,
        spread=float(members.std()), scale_max=scale,
    )  # fmt: skip
