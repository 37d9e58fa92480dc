"""Values that travel through the engine: frozen, keyword-only, arrays read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Affine = tuple[float, float, float, float, float, float]
"""Row-major 2x3 matrix ``(a, b, c, d, e, f)``: x' = a x + b y + c, y' = d x + e y + f."""


class Side(StrEnum):
    """Which hand a view shows, and how sure we are of it."""

    LEFT = "left"
    RIGHT = "right"
    IMAGE_LEFT = "image-left"
    IMAGE_RIGHT = "image-right"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """One decoded radiograph.

    Attributes:
        pixels: (rows, columns) uint16, read-only; grey values after the modality LUT and a
            non-linear VOI LUT, shifted to start at 0; not windowed, not inverted.
        inverted: True when bone is dark in ``pixels`` (MONOCHROME1 or an INVERSE presentation LUT).
        mask: (rows, columns) bool, True where there is no image (padding, shutter, collimator, an
            unexposed frame), or None.
        spacing_mm: (row, column) pixel spacing in mm, or None when unknown.
        spacing_source: the attribute that gave the spacing, or "".
        window: (centre, width) in grey values of ``pixels``, or None.
        side: laterality by tags: LEFT, RIGHT, or UNKNOWN (absent, or both hands).
        side_source: the attribute that gave the side, or "".
        side_described: LEFT or RIGHT where descriptions name just one side, else UNKNOWN; they
            never give a side, they only contradict.
    """

    pixels: NDArray[np.uint16]
    inverted: bool = False
    mask: NDArray[np.bool_] | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str = ""
    window: tuple[float, float] | None = None
    side: Side = Side.UNKNOWN
    side_source: str = ""
    side_described: Side = Side.UNKNOWN

    @property
    def field(self) -> tuple[int, int, int, int]:
        """The upright box of what the mask leaves: x, y, columns, rows.

        The whole image where there is no mask, or where it leaves nothing.
        """
        rows, columns = self.pixels.shape
        if self.mask is None or bool(self.mask.all()):
            return 0, 0, columns, rows
        xs = np.flatnonzero(~self.mask.all(0))
        ys = np.flatnonzero(~self.mask.all(1))
        return int(xs[0]), int(ys[0]), int(xs[-1] - xs[0]) + 1, int(ys[-1] - ys[0]) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HandView:
    """One hand in one radiograph: the unit of inference.

    The view's frame is canonical: the third metacarpal vertical, fingers up, thumb to the right.

    Attributes:
        index: 0 for the only hand or the one nearer the image's left edge, 1 for the other; of
            hands that lie one above the other, 0 for the upper one.
        side: see ``Side``; UNKNOWN never reaches a scorer when the image holds two hands.
        side_source: name of the tag that gave the side, "marker" (a lead letter), "position", or
            "none".
        to_image: maps unit view coordinates (x, y in [0, 1], origin top left) to pixel coordinates
            of the image (x right, y down, pixel centres at integers); carries rotation, scale and
            mirroring.
        mirrored: True when the image was mirrored to bring the thumb to the right.
        landmarks: (21, 2) float32, x and y in image pixels: wrist, then for each digit from the
            thumb: metacarpal base, MCP, PIP (thumb: IP), fingertip.
        confidence: 0..1, the locator's.
    """

    index: int
    side: Side
    side_source: str
    to_image: Affine
    mirrored: bool
    landmarks: NDArray[np.float32]
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What the locator saw in one radiograph.

    Attributes:
        hands: at most the hands it is sure of, in the order of ``HandView.index``.
        probabilities: by kind of image: "hand", "wrist_only", "partial_hand", "not_hand" and, where
            the locator knows casts, "cast".
        open_physes: 0..1.
        distance: how far the image lies from what the locator knows; > 1 is out of distribution.
    """

    hands: tuple[HandView, ...]
    probabilities: Mapping[str, float]
    open_physes: float = 0.0
    distance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model gave a value.

    Attributes:
        bundle, version: as in the manifest.
        digest: sha256 of the bundle's SHA256SUMS.
        engine: key of the session, e.g. ``onnxruntime-1.32.0-cpu``.
        precision: the session's: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        device: the session's: ``cpu`` or ``cuda:N``.
        preprocessing: sha256 of the canonical preprocessing specification.
        intended_use: ``demonstration``, ``research`` or ``clinical``.
    """

    bundle: str
    version: str
    digest: str
    engine: str
    precision: str
    preprocessing: str
    intended_use: str
    device: str = "cpu"

    @property
    def demonstration(self) -> bool:
        """Whether results of this model must carry the demonstration stamp."""
        return self.intended_use == "demonstration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A prediction interval: limits in the units of the value, level in (0, 1).

    ``calibrated_on`` names the cohort in words; "" when it is not known.
    """

    low: float
    high: float
    level: float = 0.9
    calibrated_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number about one hand view, or about all views of an image (``view`` None).

    Attributes:
        kind: stable name, e.g. ``svdh_total``, ``svdh_left``, ``svdh_member``.
        label: words for people; for ``svdh_member`` the member's name.
        value: in ``units``.
        scale_max: upper end of the scale, e.g. 280 (both hands) or 140 (one).
        code: (value, scheme, meaning) of the concept.
        joint: RAM-H1200 site id for per-joint values, else "".
        model: None only for arithmetic over other findings that name theirs.
    """

    kind: str
    label: str
    value: float
    units: str
    code: tuple[str, str, str]
    model: ModelRef
    view: int | None = None
    side: Side = Side.UNKNOWN
    interval: Interval | None = None
    spread: float | None = None
    scale_max: float | None = None
    joint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """An ordered class: band ``index`` (1-based) of ``len(edges) + 1``; ``edges`` are upper limits.

    Band 1 is "0" when the first edge is 0. ``probabilities`` sum to 1; a scorer always gives them,
    the sum of two images that a model of whole images scored has none.
    """

    kind: str
    label: str
    index: int
    edges: tuple[float, ...]
    probabilities: tuple[float, ...]
    reference: str
    code: tuple[str, str, str]
    model: ModelRef
    view: int | None = None
    side: Side = Side.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Model attention of one hand view, or of the whole image (``view`` None), in score units.

    Attributes:
        cam: (h, w) float32, signed, over the unit square of the view or of ``to_image``.
        threshold: below it there is "no evidence" to show.
        full_scale: the value that the fixed colour scale shows as its end.
        score_kind: ``Measurement.kind`` of the score that the same graph gave.
        to_image: of a whole image: unit square -> image pixels, as in ``HandView``.
    """

    cam: NDArray[np.float32]
    threshold: float
    full_scale: float
    score_kind: str
    model: ModelRef
    view: int | None
    side: Side = Side.UNKNOWN
    to_image: Affine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFlag:
    """Something a reader must know: ``code`` from a fixed vocabulary, ``text`` for people."""

    code: str
    text: str
    view: int | None = None


Finding = Measurement | Category | Heatmap | QualityFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredImage:
    """One image as a scorer sees it: its views, in the order of the batch's rows."""

    instance: str
    radiograph: Radiograph
    views: tuple[HandView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Images that are scored together.

    ``rows`` gives, for each row of every output array, (image position, view position).
    """

    images: tuple[ScoredImage, ...]
    rows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Arrays of one graph over a batch, by output name, first axis = ``Batch.rows``.

    ``manifest`` is the bundle's, as plain tables. Where its ``unit`` is "image", the rows of an
    image are equal: what the graph said about the image as a whole.
    """

    role: str
    arrays: Mapping[str, NDArray[np.float32]]
    model: ModelRef
    manifest: Mapping[str, object] = field(default_factory=dict)
