"""One labelled image of any source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Hands = Literal["left", "right", "both", "unknown"]
Sex = Literal["F", "M"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An image and what is known of it.

    Attributes:
        key: unique in its set and the same on every machine.
        source: ``rsna``, ``ram-h1200``, ``ram-w600``, ``table``, ``dicom`` or ``phantom``.
        image: file, or None when it is generated on demand.
        score: SvdH total of the hands shown, 0-280 (both) or 0-140; None where the set has none.
        months: bone age; joints: site ids with ``L_`` or ``R_`` -> grade; readers: name -> total.
    """

    key: str
    patient_id: str
    visit: str
    source: str
    image: Path | None
    hands: Hands
    score: float | None = None
    months: float | None = None
    sex: Sex | None = None
    joints: Mapping[str, float] = field(default_factory=dict)
    readers: Mapping[str, float] = field(default_factory=dict)
