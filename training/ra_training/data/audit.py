"""Shortcut audit: no attribute of acquisition may tell a high score from a low one.

Why: in the public sample of 50 wrists, whether the file is RGB or grey gives an AUC of 0.787 for
'erosive' without a pixel being looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_training.data.sample import Sample
from ra_training.errors import TrainingError

LIMIT = 0.55
"""Highest AUC of one attribute for 'score above median' that passes."""
_RESAMPLES = 400
_FEWEST = 10

Values = Sequence[float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attribute: AUC in its stronger direction (0.5-1) with a 95 % bootstrap interval.

    Attributes:
        constant: it has one value only and can tell nothing.
    """

    name: str
    auc: float
    low: float
    high: float
    constant: bool

    @property
    def passed(self) -> bool:
        """At most 0.55."""
        return self.auc <= LIMIT


def audit(
    attributes: Mapping[str, Values],
    above: NDArray[np.bool_],
    patients: Sequence[str],
    *,
    seed: int,
) -> tuple[Row, ...]:
    """Rows sorted by AUC, worst first.

    A number is ranked as it is; a word counts as the share of ``above`` with this word in the
    other half of the patients, so that no image tells its own label. Patients are resampled.

    Args:
        above: (n,) True where the score is above the median.

    Raises:
        TrainingError: fewer than 10 images of either kind.
    """
    if min(int(above.sum()), int((~above).sum())) < _FEWEST:
        raise TrainingError(
            code="audit-small",
            text=f"{int(above.sum())} of {len(above)} images are above the median",
            hint="audit at least 10 images on each side, better 400 in all",
        )
    groups: dict[str, list[int]] = defaultdict(list)
    for i, who in enumerate(patients):
        groups[who].append(i)
    people = [np.array(g) for _, g in sorted(groups.items())]
    draw = np.random.default_rng(seed)
    picks = [
        np.concatenate([people[i] for i in draw.integers(0, len(people), len(people))])
        for _ in range(_RESAMPLES)
    ]
    rows = [_row(name, v, above, patients, picks) for name, v in attributes.items()]
    return tuple(sorted(rows, key=lambda r: (-r.auc, r.name)))


def above_median(scores: Sequence[float]) -> NDArray[np.bool_]:
    """(n,) True where a score is above the median of all."""
    values = np.asarray(scores, np.float64)
    found: NDArray[np.bool_] = values > np.median(values)
    return found


def auc(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties count half."""
    from scipy.stats import rankdata

    n = int(positive.sum())
    m = len(positive) - n
    if not n or not m:
        return 0.5
    ranks = rankdata(values)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def file_attributes(samples: Sequence[Sample]) -> dict[str, list[float | str]]:
    """What a file tells before anybody looks at the picture.

    Mode, size, bytes, suffix, side, sex; of DICOM objects also bits, photometric interpretation,
    spacing, manufacturer and age.
    """
    rows = [_facts(s) for s in samples]
    names = sorted({name for row in rows for name in row})
    return {name: [row.get(name, "absent") for row in rows] for name in names}


def _row(
    name: str,
    values: Values,
    above: NDArray[np.bool_],
    patients: Sequence[str],
    picks: Sequence[NDArray[np.intp]],
) -> Row:
    constant = len(set(values)) == 1
    numeric = all(isinstance(v, float) for v in values)
    told = np.array(values, np.float64) if numeric else _shares(values, above, patients)
    point = 0.5 if constant else auc(told, above)
    sign = 1.0 if point >= 0.5 or not numeric else -1.0
    drawn = [0.5 if constant else auc(sign * told[p], above[p]) for p in picks]
    low, high = (float(v) for v in np.quantile(drawn, (0.025, 0.975)))
    return Row(
        name=name, auc=max(point, 1 - point) if numeric else max(point, 0.5), low=low, high=high,
        constant=constant,
    )  # fmt: skip


def _shares(
    values: Values, above: NDArray[np.bool_], patients: Sequence[str]
) -> NDArray[np.float64]:
    """Share of ``above`` with the same word, in the other half of the patients.

    Left-out means of the whole would mark each case by its own label; two fixed halves do not.
    """
    names = sorted(set(patients))
    half = {who: i % 2 for i, who in enumerate(names)}
    side = np.array([half[who] for who in patients])
    words = np.array([str(v) for v in values])
    told = np.full(len(words), 0.5)
    for own in (0, 1):
        base = float(above[side != own].mean())
        for word in set(words):
            other = (words == word) & (side != own)
            here = (words == word) & (side == own)
            told[here] = (float(above[other].mean()) if other.any() else base) - base
    return told


def _facts(sample: Sample) -> dict[str, float | str]:
    facts: dict[str, float | str] = {"hands": sample.hands, "sex": sample.sex or "absent"}
    if sample.image is None:
        return facts
    facts |= {"suffix": sample.image.suffix.lower(), "bytes": float(sample.image.stat().st_size)}
    return facts | _picture(sample.image)


def _picture(path: Path) -> dict[str, float | str]:
    from ra_training.data.pixels import is_dicom

    if is_dicom(path):
        return _object(path)
    from PIL import Image

    with Image.open(path) as image:
        return {
            "mode": image.mode, "rows": float(image.height), "columns": float(image.width),
        }  # fmt: skip


def _object(path: Path) -> dict[str, float | str]:
    from pydicom import dcmread

    ds = dcmread(path, stop_before_pixels=True, force=True)
    facts: dict[str, float | str] = {
        "rows": float(ds.get("Rows") or 0), "columns": float(ds.get("Columns") or 0),
    }  # fmt: skip
    for name, keyword in (
        ("bits", "BitsStored"),
        ("photometric", "PhotometricInterpretation"),
        ("manufacturer", "Manufacturer"),
        ("age", "PatientAge"),
        ("laterality", "ImageLaterality"),
    ):
        facts[name] = str(ds.get(keyword) or "absent")
    spacing = ds.get("PixelSpacing") or ds.get("ImagerPixelSpacing")
    facts["spacing"] = float(spacing[0]) if spacing else 0.0
    if facts["age"] != "absent":
        facts["age"] = float(str(facts["age"]).rstrip("DWMY") or 0)
    return facts
