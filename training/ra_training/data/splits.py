"""Patient-level sets and folds: stratified, the same for a seed everywhere, written and hashed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ra_training.data.sample import Sample
from ra_training.errors import TrainingError

SETS = ("train", "valid", "test")
SCORE_EDGES = (1.0, 11.0, 51.0)
"""Lower edges of bands above zero: 0, 1-10, 11-50, > 50 (both hands)."""
_MONTH_EDGES = (60.0, 108.0, 156.0)
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where a sample goes; ``fold`` is 0..k-1, or -1 for the test set and without folds."""

    key: str
    source: str
    patient_id: str
    part: str
    fold: int
    band: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Sets of one source, rows sorted by key."""

    rows: tuple[Row, ...]
    seed: int
    folds: int
    fractions: tuple[float, float, float]

    def part(self, name: str, samples: Sequence[Sample]) -> tuple[int, ...]:
        """Positions in ``samples`` of a set."""
        wanted = {r.key for r in self.rows if r.part == name}
        return self._positions(wanted, samples)

    def fold(
        self, index: int, samples: Sequence[Sample]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Positions in ``samples`` of what fold ``index`` trains on and of what it holds out."""
        if not 0 <= index < self.folds:
            raise TrainingError(
                code="fold-unknown",
                text=f"fold {index} of {self.folds}",
                hint="count from 0, or split with more folds",
            )
        out = {r.key for r in self.rows if r.fold == index}
        rest = {r.key for r in self.rows if r.fold not in (index, -1)}
        return self._positions(rest, samples), self._positions(out, samples)

    def _positions(self, wanted: set[str], samples: Sequence[Sample]) -> tuple[int, ...]:
        known = {r.key for r in self.rows}
        strange = [s for s in samples if _row_key(s.key, known) is None]
        if strange:
            raise TrainingError(
                code="split-stale",
                text=f"{len(strange)} of {len(samples)} samples are not in the split",
                hint="split again, or give the set that was split",
            )
        return tuple(i for i, s in enumerate(samples) if _row_key(s.key, known) in wanted)

    def save(self, folder: Path) -> str:
        """Write ``split.csv`` and ``split.json``; return the sha256 of the CSV."""
        folder.mkdir(parents=True, exist_ok=True)
        text = self._csv()
        digest = hashlib.sha256(text.encode()).hexdigest()
        counts = Counter(r.part for r in self.rows)
        people = {
            s: len({(r.source, r.patient_id) for r in self.rows if r.part == s}) for s in SETS
        }
        facts = {
            "schema": SCHEMA, "seed": self.seed, "folds": self.folds,
            "fractions": list(self.fractions), "sha256": digest,
            "images": {s: counts[s] for s in SETS}, "patients": people,
        }  # fmt: skip
        (folder / "split.csv").write_bytes(text.encode())
        (folder / "split.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return digest

    def _csv(self) -> str:
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["key", "source", "patient_id", "set", "fold", "band"])
        table.writerows([r.key, r.source, r.patient_id, r.part, r.fold, r.band] for r in self.rows)
        return out.getvalue()


def _row_key(key: str, known: set[str]) -> str | None:
    """A prepared hand is named after its image: ``KEY#left``."""
    return next((k for k in (key, key.rpartition("#")[0]) if k in known), None)


def split(
    samples: Sequence[Sample],
    *,
    seed: int,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    folds: int = 5,
) -> Split:
    """Deal patients to sets and folds.

    A patient's images stay together, sources apart; patients are dealt band by band (of their
    highest score, or of bone age), in an order that only the seed and their names decide, each to
    the set that is furthest behind its share. Folds are dealt alike among train and valid.

    Raises:
        TrainingError: fractions that do not add up to 1, too few patients, two samples of one key.
    """
    _check(samples, fractions, folds)
    people: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for s in samples:
        people[s.source, s.patient_id].append(s)
    bands = {who: max(_band(s) for s in own) for who, own in people.items()}
    order = sorted(people, key=lambda who: (bands[who], _draw(seed, *who), who))
    parts = _deal(order, fractions)
    cross = [who for who in order if parts[who] != 2]
    lots = _deal(cross, (1 / folds,) * folds) if folds > 1 else {}
    rows = [
        Row(
            key=s.key, source=s.source, patient_id=s.patient_id, part=SETS[parts[who]],
            fold=lots.get(who, -1), band=bands[who],
        )
        for who, own in people.items()
        for s in own
    ]  # fmt: skip
    return Split(
        rows=tuple(sorted(rows, key=lambda r: r.key)), seed=seed, folds=folds, fractions=fractions
    )


def load(folder: Path) -> Split:
    """Read a split again.

    Raises:
        TrainingError: not there, changed since it was written, or a patient is in two sets.
    """
    try:
        facts = json.loads((folder / "split.json").read_text(encoding="utf-8"))
        text = (folder / "split.csv").read_bytes().decode()
    except (OSError, ValueError) as error:
        raise TrainingError(
            code="split-missing",
            text=f"no split in {folder.name}",
            hint="write it by ra-train split",
        ) from error
    if hashlib.sha256(text.encode()).hexdigest() != facts.get("sha256"):
        raise TrainingError(
            code="split-changed",
            text=f"split.csv in {folder.name} is not what was written",
            hint="split again with its seed, or take the file from a backup",
        )
    rows = tuple(
        Row(
            key=r["key"], source=r["source"], patient_id=r["patient_id"], part=r["set"],
            fold=int(r["fold"]), band=int(r["band"]),
        )
        for r in csv.DictReader(io.StringIO(text))
    )  # fmt: skip
    refuse_overlap({s: [f"{r.source} {r.patient_id}" for r in rows if r.part == s] for s in SETS})
    return Split(
        rows=rows, seed=facts["seed"], folds=facts["folds"], fractions=tuple(facts["fractions"])
    )


def refuse_overlap(sets: Mapping[str, Iterable[str]]) -> None:
    """No patient may be in two sets.

    Raises:
        TrainingError: some are; the text counts them and names none.
    """
    known = {name: set(people) for name, people in sets.items()}
    names = sorted(known)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = known[first] & known[second]
            if both:
                raise TrainingError(
                    code="patients-overlap",
                    text=f"{len(both)} patients are in {first} and in {second}",
                    hint="split by patient: ra-train split",
                )


def _check(samples: Sequence[Sample], fractions: tuple[float, float, float], folds: int) -> None:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise TrainingError(
            code="split-fractions",
            text=f"fractions {', '.join(f'{f:g}' for f in fractions)}",
            hint="give three shares (train, valid, test) that add up to 1",
        )
    if len({s.key for s in samples}) != len(samples):
        raise TrainingError(
            code="row-duplicate", text="two samples share a key", hint="remove one of them"
        )
    people = len({(s.source, s.patient_id) for s in samples})
    least = max(folds, sum(f > 0 for f in fractions))
    if people < least or folds < 1:
        raise TrainingError(
            code="patients-few",
            text=f"{people} patients for {least} parts",
            hint="give more patients or ask for fewer folds",
        )


def _band(sample: Sample) -> int:
    value, edges = sample.score, SCORE_EDGES
    if value is not None and sample.hands in ("left", "right"):
        value *= 2
    if value is None:
        value, edges = sample.months, _MONTH_EDGES
    return -1 if value is None else sum(value >= e for e in edges)


def _draw(seed: int, source: str, patient: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{source}\x1f{patient}".encode()).hexdigest()


def _deal(order: Sequence[tuple[str, str]], shares: Sequence[float]) -> dict[tuple[str, str], int]:
    """Each in turn to the part that is furthest behind its share; nobody to a share of 0."""
    held = [0] * len(shares)
    dealt = {}
    for count, who in enumerate(order, 1):
        part = max(
            (i for i, share in enumerate(shares) if share > 0),
            key=lambda i: (shares[i] * count - held[i], -i),
        )
        held[part] += 1
        dealt[who] = part
    return dealt
