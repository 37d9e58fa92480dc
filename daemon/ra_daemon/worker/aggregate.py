"""The total of a study's two single-hand images, as an image of both hands would have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ra_daemon.dicom.sides import MARKER
from ra_daemon.domain import Scored
from ra_engine.bands import above_both, band_of, bands_of, logits_of
from ra_engine.intervals import interval
from ra_engine.manifest import IntervalTable, Manifest
from ra_engine.types import Category, Finding, HandView, Measurement, ModelRef, QualityFlag, Side

TOTAL = ("RA0001", "99RADAEMON", "Estimated SvdH score, both hands, range 0-280")
LABEL = "Estimated radiographic joint damage (SvdH), both hands"
SUMMED = QualityFlag(code="aggregate", text="Sum of two images, one hand each.")
UNCALIBRATED = QualityFlag(
    code="no_interval",
    text="No interval: the model has no calibration for the sum of two images.",
)
REPEATED = QualityFlag(
    code="side_repeated",
    text="The study has more than one image of this hand: the one scored last counts.",
)
_HANDS = ("svdh_left", "svdh_right")


def total_of(
    left: Scored,
    right: Scored,
    manifest_of: Callable[[str], Manifest | None],
    repeated: Sequence[str] = (),
) -> Scored | None:
    """The total of two single-hand images of one bundle, engine and preprocessing.

    Its interval is that of the bundle's table for sums of two hands; a model of whole images has
    none, for its table ``both`` is of images of both hands. Members are summed each, the band is
    that of the total. View 0 is the left hand, view 1 the right one. The hands may have been scored
    on two devices of one kind: then both stand in its model reference.

    Args:
        left: the left hand's verdict.
        right: the right hand's verdict.
        manifest_of: digest of a bundle -> its manifest; None when it is not installed any more.
        repeated: sides of which there were more images; each is flagged.

    Returns:
        None when the two cannot be summed.
    """
    a, b = _hand(left), _hand(right)
    if a is None or b is None or not _alike(a.model, b.model):
        return None
    devices = sorted({a.model.device, b.model.device})
    model = replace(a.model, device=" + ".join(devices))
    manifest = manifest_of(model.digest)
    value, scale = a.value + b.value, (a.scale_max or 140.0) + (b.scale_max or 140.0)
    members = [replace(m, model=model) for m in _members(left, right, scale)]
    table = _sums(manifest)
    total = Measurement(
        kind="svdh_total", label=LABEL, value=value, units=a.units, code=TOTAL, model=model,
        interval=None if table is None else interval(table, value, scale),
        spread=float(np.std([m.value for m in members])) if members else None, scale_max=scale,
    )  # fmt: skip
    band = _band(left, right, total, manifest)
    findings: list[Finding] = [total, replace(a, view=0), replace(b, view=1), *members]
    findings += [] if band is None else [band]
    findings += [SUMMED] if table is not None else [SUMMED, UNCALIBRATED]
    for view, (side, hand) in enumerate((("left", left), ("right", right))):
        findings += [replace(REPEATED, view=view)] if side in repeated else []
        findings += [replace(f, view=view) for f in hand.findings if isinstance(f, QualityFlag)]
    return Scored(
        views=(*_view(left, 0), *_view(right, 1)),
        findings=tuple(findings),
        laterality=Side.UNKNOWN,
        laterality_source=_source(left, right),
        hands="both",
    )


def _alike(a: ModelRef, b: ModelRef) -> bool:
    """Whether two models differ in the device at most."""
    return replace(a, device="") == replace(b, device="")


def _source(left: Scored, right: Scored) -> str:
    """How the sides are known: by tags, or one of them by a letter on the film."""
    return MARKER if MARKER in (left.laterality_source, right.laterality_source) else "tags"


def _hand(scored: Scored) -> Measurement | None:
    found = [f for f in scored.findings if isinstance(f, Measurement) and f.kind in _HANDS]
    return found[0] if found else None


def _view(scored: Scored, index: int) -> list[HandView]:
    return [replace(v, index=index) for v in scored.views[:1]]


def _sums(manifest: Manifest | None) -> IntervalTable | None:
    """The calibration table of sums of two hands, where there is one."""
    if manifest is None or manifest.unit != "hand" or manifest.score is None:
        return None
    return manifest.score.both


def _members(left: Scored, right: Scored, scale: float) -> Sequence[Measurement]:
    """Each member's sum; none where the hands do not have the same members."""
    of_left, of_right = (
        {f.label: f for f in s.findings if isinstance(f, Measurement) and f.kind == "svdh_member"}
        for s in (left, right)
    )
    if of_left.keys() != of_right.keys():
        return ()
    return [
        replace(
            m, value=m.value + of_right[name].value, view=None, side=Side.UNKNOWN, scale_max=scale
        )
        for name, m in of_left.items()
    ]


def _band(
    left: Scored, right: Scored, total: Measurement, manifest: Manifest | None
) -> Category | None:
    """The band of the total; without probabilities where the model cannot combine the hands'."""
    found = [
        f
        for s in (left, right)
        for f in s.findings
        if isinstance(f, Category) and f.kind == "severity" and _alike(f.model, total.model)
    ]
    table = None if manifest is None else manifest.severity
    if len(found) != 2 or manifest is None or table is None or not table.edges_both:
        return None
    probabilities: tuple[float, ...] = ()
    if manifest.unit == "hand":
        logits = logits_of(found[0].probabilities) + logits_of(found[1].probabilities)
        probabilities = bands_of(above_both(total.value, logits, table))
    index, bands = band_of(total.value, table.edges_both), len(table.edges_both) + 1
    return replace(
        found[0], label=f"damage band {index} of {bands}", index=index, edges=table.edges_both,
        probabilities=probabilities, reference=table.reference, view=None, side=Side.UNKNOWN,
        model=total.model,
    )  # fmt: skip
