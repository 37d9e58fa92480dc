"""An INT8 file that agrees: how much of each branch stays FP32, by some calibration images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.branches import MEMBERS, Branch
from ra_engine.contracts import Session
from ra_engine.gate import TOLERANCES, GateReport, measure
from ra_engine.quantise import Level, Quantiser, Told
from ra_engine.spec import EngineSpec

_MARGIN = 0.8
"""Share of the gate's limits that an INT8 file should use on the images that its FP32 ends are
chosen on: others will be worse, and what only just agrees here fails there (decision 0021)."""

_OF_ALL = 0.9
"""The same of all calibration images: their worst is further off than that of few."""

_ODD = 256
"""One image in so many may be further off than members may be, for the score is judged beside them.
The gate's 32 others will then hold such an image about one time in nine; with none, one odd image
of 300 kept a network in FP32 that agreed on all others (decision 0032)."""

_FEW, _CHUNK = 32, 8
Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Calibration images, and what the FP32 graph says of them.

    Attributes:
        images: (n, 1, rows, columns); truth: outputs by name; evidence: see ``Samples.evidence``.
    """

    images: NDArray[np.float32]
    truth: Arrays
    evidence: float

    @classmethod
    def by(cls, reference: Session, images: NDArray[np.float32], evidence: float) -> Seen:
        """What a session says of all images."""
        return cls(images=images, truth=_said(reference, images), evidence=evidence)

    def few(self) -> Seen:
        """Evenly chosen ones, 32 or a few more: enough to tell one step from the next."""
        every = max(1, len(self.images) // _FEW)
        truth = {name: rows[::every] for name, rows in self.truth.items()}
        return Seen(images=self.images[::every], truth=truth, evidence=self.evidence)

    def said(self, file: Path) -> Arrays:
        """What an INT8 file says, by a runtime that runs either form, whoever compiles it later."""
        session = OnnxRuntimeBackend().load(file, EngineSpec(precision="int8"))
        return _said(session, self.images)

    def judged(self, found: Arrays, share: float, without: str = "") -> GateReport:
        """The gate's figures, against a share of its limits; one output may be left out."""
        mine, theirs = (
            {name: rows for name, rows in said.items() if name != without}
            for said in (found, self.truth)
        )
        return measure(mine, theirs, "int8", evidence=self.evidence, share=share)


def _said(session: Session, images: NDArray[np.float32]) -> Arrays:
    """Outputs of all images, few of them held at once."""
    parts = [session.run(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def agreeing(
    made: Quantiser, seen: Seen, target: Path, form: Literal["u8", "s8"], *, told: Told | None
) -> tuple[tuple[str, ...], GateReport | None]:
    """Write the file whose branches have the shortest FP32 ends that agree well; where none does,
    the last one that keeps the gate's limits (but for an odd image, see ``_ODD``).

    A branch goes one step up the ladder as long as its own member does not agree on few images. The
    mean by which a linear member departs is taken off it: rounding has a direction. Then the file
    as a whole is judged on all images, for the worst of few says little of the worst of others; the
    branches whose members fail there go up, all of them where it fails otherwise.

    Returns:
        (Names of the convolutions kept in FP32, what was measured where no file keeps the limits.)
    """
    ladder, few = made.ladder(), seen.few()
    steps = [0] * len(made.branches)
    fits: tuple[list[Level], list[float]] | None = None
    while True:
        levels = [ladder[step] for step in steps]
        if told is not None:
            told(max(steps) + 1, len(ladder))
        kept = made.write(target, form, levels)
        found = few.said(target)
        moved = _moved(made.branches, found, few.truth)
        short = _short(made.branches, few.truth, found, moved, _MARGIN)
        if not short:
            if any(moved):
                kept = made.write(target, form, levels, moved)
            found = seen.said(target)
            short = _failing(made.branches, seen, found, _OF_ALL)
            if not short:
                return kept, None
            fits = fits if _failing(made.branches, seen, found, 1.0) else (levels, moved)
        higher = [min(s + (i in short), len(ladder) - 1) for i, s in enumerate(steps)]
        if higher == steps or all(ladder[step] is None for step in higher):
            break
        steps = higher
    if fits is None:
        return kept, few.judged(few.said(target), 1.0)
    return made.write(target, form, *fits), None


def _failing(branches: Sequence[Branch], seen: Seen, found: Arrays, share: float) -> list[int]:
    """Numbers of the branches that are to go up: those whose members fail, else all of them where
    the whole does."""
    short = _short(branches, seen.truth, found, [], share)
    own = any(branch.member is not None for branch in branches)
    if short or seen.judged(found, share, MEMBERS if own else "").passed:
        return short
    return list(range(len(branches)))


def _moved(branches: Sequence[Branch], found: Arrays, truth: Arrays) -> list[float]:
    """What to add to each member; 0 to one that is not linear. Empty without members."""
    if MEMBERS not in truth:
        return []
    mean = (truth[MEMBERS].astype(np.float64) - found[MEMBERS]).mean(0)
    linear = {b.member for b in branches if b.linear}
    return [float(np.float32(m)) if i in linear else 0.0 for i, m in enumerate(mean)]


def _short(
    branches: Sequence[Branch], truth: Arrays, found: Arrays, moved: Sequence[float], share: float
) -> list[int]:
    """Numbers of the branches whose own member is beyond a share of the limits, once it is moved. A
    few odd images, the same for all members, are left out of the worst; a branch without a member
    is judged with the whole."""
    own = [(n, b.member) for n, b in enumerate(branches) if b.member is not None]
    if not own:
        return []
    columns = [member for _, member in own]
    apart = found[MEMBERS][:, columns].astype(np.float64) - truth[MEMBERS][:, columns]
    apart = np.abs(apart + (np.array(moved)[columns] if moved else 0.0))
    odd = np.argsort(apart.max(1), kind="stable")[len(apart) - len(apart) // _ODD :]
    worst, mean = np.delete(apart, odd, 0).max(0), apart.mean(0)
    limit = TOLERANCES["int8"]
    # What is no number is within nothing.
    within = (worst <= share * limit.worst) & (mean <= share * limit.mean)
    return [number for (number, _), fits in zip(own, within, strict=True) if not fits]
