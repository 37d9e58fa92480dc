"""The manifest of a bundle: what a model is, expects and claims. Unknown keys are errors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ra_engine.prepare import ORDER, Preprocessing


class Section(BaseModel):
    """A table of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Graph(Section):
    """The ONNX file and what it gives."""

    file: str = "graph.onnx"
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    outputs: tuple[str, ...]

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        if PurePosixPath(value).name != value:
            raise ValueError("must be a file name inside the bundle")
        return value


class PreprocessingTable(Section):
    """See ``ra_engine.prepare``; ``order`` is stated so that a reader need not open the code."""

    kind: Literal["hand_view", "letterbox"]
    rows: int = Field(ge=16, le=4096)
    columns: int = Field(ge=16, le=4096)
    percentiles: tuple[float, float]
    mean: float
    std: float = Field(gt=0)
    order: tuple[str, ...]

    @field_validator("percentiles")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must rise within 0..100")
        return value

    @field_validator("order")
    @classmethod
    def _known_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ORDER:
            raise ValueError(f"this engine prepares in the order {', '.join(ORDER)}")
        return value

    def spec(self) -> Preprocessing:
        """The specification that ``prepare`` takes."""
        return Preprocessing(**self.model_dump(exclude={"order"}))


class IntervalTable(Section):
    """Split-conformal limits by band of the predicted score (Mondrian).

    A prediction p with ``upper[i-1] < p <= upper[i]`` has the interval
    [p - low[i], p + high[i]], clipped to the scale. ``reference`` names the cohort in words;
    where a manifest leaves it out, it is that of its table [severity].
    """

    level: float = Field(gt=0, lt=1)
    upper: tuple[float, ...] = Field(min_length=1)
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int = Field(ge=1, description="Calibration images.")
    reference: str = ""

    @model_validator(mode="after")
    def _same_length(self) -> IntervalTable:
        if not len(self.upper) == len(self.low) == len(self.high):
            raise ValueError("upper, low and high must be of one length")
        if list(self.upper) != sorted(self.upper):
            raise ValueError("upper must rise")
        return self


class Score(Section):
    """The score, and its calibration for images of one hand and of two.

    ``scale_max`` is that of one hand. A bundle of unit "hand" has both tables, ``both`` for the
    sum of two hands; one of unit "image" has those of the images that it was made for.
    """

    scale_max: float = 140.0
    members: tuple[str, ...]
    rubric: str
    hand: IntervalTable | None = None
    both: IntervalTable | None = None


class Severity(Section):
    """Damage bands: edges are upper limits; the first band is zero when the first edge is 0.

    For two hands, from a bundle of unit "hand": logit P(total band > k) = a[k] log1p(total) +
    b[k] (sum of the hands' cumulative logits k) + c[k], made to fall with k. A bundle of unit
    "image" has edges only, of the images that it was made for: its logits are the image's.
    """

    edges_hand: tuple[float, ...] = ()
    edges_both: tuple[float, ...] = ()
    a: tuple[float, ...] = ()
    b: tuple[float, ...] = ()
    c: tuple[float, ...] = ()
    reference: str

    @model_validator(mode="after")
    def _one_length(self) -> Severity:
        lists = (self.edges_hand, self.edges_both, self.a, self.b, self.c)
        if len({len(values) for values in lists if values}) > 1:
            raise ValueError("edges_hand, edges_both, a, b and c must be of one length")
        for edges in (self.edges_hand, self.edges_both):
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError("edges must rise")
        return self


class Cam(Section):
    """The heatmap: below ``threshold`` there is no evidence; ``full_scale`` ends the colour bar."""

    threshold: float = Field(ge=0)
    full_scale: float = Field(gt=0)


class LocatorTable(Section):
    """Thresholds of the locator and the file with its feature statistics."""

    statistics: str = Field(default="stats.npz", pattern=r"^[^/\\]+$")
    centre: float = Field(gt=0, lt=1)
    landmark: float = Field(gt=0, lt=1)
    plausibility: float = Field(ge=0)
    distance: float = Field(gt=0, description="Mahalanobis distance that counts as 1.0.")


class Training(Section):
    """Where the weights come from and how well they do, on what."""

    data: str
    data_digest: str
    metrics: dict[str, float]


class Manifest(Section):
    """A whole ``manifest.toml``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    version: str
    unit: Literal["hand", "image"]
    intended_use: Literal["demonstration", "research", "clinical"]
    licence: str
    roles: tuple[str, ...]
    graph: Graph
    preprocessing: PreprocessingTable
    score: Score | None = None
    severity: Severity | None = None
    cam: Cam | None = None
    locator: LocatorTable | None = None
    training: Training

    @model_validator(mode="before")
    @classmethod
    def _cohort_of_intervals(cls, data: object) -> object:
        """Say of each calibration table on whom it was made."""
        if not isinstance(data, dict):
            return data
        score, severity = data.get("score"), data.get("severity")
        if not isinstance(score, dict) or not isinstance(severity, dict):
            return data
        known = {"reference": severity.get("reference", "")}
        tables = {k: {**known, **v} if isinstance(v, dict) else v for k, v in score.items()}
        return {**data, "score": tables}

    @model_validator(mode="after")
    def _role_has_its_table(self) -> Manifest:
        absent = {
            "svdh": self.score is None,
            "severity": self.severity is None or self.score is None,
            "cam": self.cam is None,
            "locator": self.locator is None,
        }
        for role in self.roles:
            if absent.get(role, False):
                raise ValueError(f"role {role!r} needs its table")
        return self

    @model_validator(mode="after")
    def _tables_fit_the_unit(self) -> Manifest:
        if (self.preprocessing.kind == "letterbox") != (self.unit == "image"):
            raise ValueError("unit 'image' is prepared as 'letterbox', unit 'hand' as 'hand_view'")
        if self.score is not None and not self.hands:
            raise ValueError(
                "score: calibration tables 'hand' and 'both', or with unit 'image' one"
            )
        if self.severity is not None and self.score is not None:
            self._severity_fits(self.severity)
        return self

    def _severity_fits(self, table: Severity) -> None:
        if self.unit == "hand":
            if not all((table.edges_hand, table.edges_both, table.a, table.b, table.c)):
                raise ValueError("severity: edges_hand, edges_both, a, b and c with unit 'hand'")
            return
        edges = {1: table.edges_hand, 2: table.edges_both}
        if any(not edges[n] for n in self.hands):
            raise ValueError("severity: edges of every kind of image that has a calibration table")

    @property
    def hands(self) -> frozenset[int]:
        """Number of hands that an image may show; both numbers where no score is given."""
        if self.score is None:
            return frozenset({1, 2})
        tables = {1: self.score.hand, 2: self.score.both}
        known = frozenset(n for n, table in tables.items() if table is not None)
        return known if self.unit == "image" or len(known) == 2 else frozenset()
