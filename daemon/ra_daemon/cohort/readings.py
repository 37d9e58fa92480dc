"""The one reading that stands for a visit, or why there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ra_daemon.cohort.visits import Visit
from ra_daemon.store.query import run_query

_RESULTS = """
SELECT patient_id, accession_number, study_date, hands, kind, value, low, high, level, units,
       bundle, bundle_version, bundle_digest, engine, precision, preprocessing_digest,
       source_sha256, demonstration, derived_from, outcome_id
FROM v1_results
WHERE status = 'current' AND role = 'active'
  AND kind IN ('svdh_total', 'svdh_left', 'svdh_right', 'svdh_hand', 'severity')
ORDER BY outcome_id, kind
"""
_REFUSALS = """
SELECT patient_id, accession_number, study_date, reason_code
FROM v1_refusals WHERE status = 'current' AND role = 'active' ORDER BY outcome_id
"""
_RETRACTED = """
SELECT DISTINCT patient_id, accession_number, study_date
FROM v1_results WHERE status = 'retracted' AND role = 'active'
"""
_INSTANCES = "SELECT patient_id, accession_number, study_date FROM v1_instances"

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A score with its limits and all that it must share with another to be compared."""

    study_date: str
    hands: str
    value: float
    low: float | None
    high: float | None
    level: float | None
    units: str
    band: int | None
    bundle: str
    bundle_version: str
    bundle_digest: str
    engine: str
    precision: str
    preprocessing_digest: str
    source_sha256: str
    demonstration: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Rows of the views by study, under the accession number and under (patient ID, date).

    ``owners``: patient ID and date of each image that has an accession number, by that number.
    """

    scores: Mapping[Key, Sequence[Mapping[str, Any]]]
    bands: Mapping[int, int]
    refusals: Mapping[Key, Sequence[str]]
    known: frozenset[Key]
    owners: Mapping[str, frozenset[tuple[str, str]]]
    retracted: frozenset[Key] = frozenset()

    def of(self, visit: Visit) -> Reading | str:
        """The visit's reading, or the reason why it has none."""
        key = visit.key
        if key is None:
            return "no_study_planned_only"
        if self._disagree(visit):
            return "keys_disagree"
        rows = self.scores.get(key, ())
        if rows:
            return self._choose(rows)
        refused = sorted(set(self.refusals.get(key, ())))
        if refused:
            return "refused:" + ",".join(refused)
        if key in self.retracted:
            return "retracted"
        return "not_scored_yet" if key in self.known else "no_image"

    def _disagree(self, visit: Visit) -> bool:
        """Whether the images deny that the visit's accession number, patient and date are one."""
        patient, day = visit.patient_id, visit.study_date
        if not visit.accession_number or not (patient or day):
            return False
        owners = self.owners.get(visit.accession_number)
        if owners is None:  # no such number: the patient's images of that day have another one
            return (patient, day) in self.known
        return any(patient not in ("", p) or day not in ("", d) for p, d in owners)

    def _choose(self, rows: Sequence[Mapping[str, Any]]) -> Reading | str:
        """A two-hand image before an aggregate before a single hand; never one of several."""
        totals = [r for r in rows if r["kind"] == "svdh_total" and not r["derived_from"]]
        aggregates = [r for r in rows if r["kind"] == "svdh_total" and r["derived_from"]]
        singles = [r for r in rows if r["kind"] != "svdh_total" and r["hands"] != "both"]
        for found in (totals, aggregates):
            if found:
                return self._reading(found[0]) if len(found) == 1 else "several_images"
        if len({r["hands"] for r in singles}) > 1:
            return "hands_not_aggregated_yet"
        if not singles:
            return "no_total"
        return self._reading(singles[0]) if len(singles) == 1 else "several_images"

    def _reading(self, row: Mapping[str, Any]) -> Reading:
        return Reading(
            study_date=row["study_date"],
            hands=row["hands"],
            value=row["value"],
            low=row["low"],
            high=row["high"],
            level=row["level"],
            units=row["units"],
            band=self.bands.get(row["outcome_id"]),
            bundle=row["bundle"],
            bundle_version=row["bundle_version"],
            bundle_digest=row["bundle_digest"],
            engine=row["engine"],
            precision=row["precision"],
            preprocessing_digest=row["preprocessing_digest"],
            source_sha256=row["source_sha256"],
            demonstration=bool(row["demonstration"]),
        )


def load_readings(url: str) -> Readings:
    """Read the views.

    Raises:
        StoreError: the database cannot be read.
    """
    scores: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    bands: dict[int, int] = {}
    for row in _records(url, _RESULTS):
        if row["kind"] == "severity":
            bands[row["outcome_id"]] = int(row["value"])
        elif row["value"] is not None:
            for key in _keys(row):
                scores[key].append(row)
    refusals: dict[Key, list[str]] = defaultdict(list)
    for row in _records(url, _REFUSALS):
        for key in _keys(row):
            refusals[key].append(row["reason_code"])
    images = _records(url, _INSTANCES)
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in images:
        if row["accession_number"]:
            owners[row["accession_number"]].add((row["patient_id"], row["study_date"]))
    return Readings(
        scores=scores,
        bands=bands,
        refusals=refusals,
        known=frozenset(key for row in images for key in _keys(row)),
        owners={number: frozenset(pairs) for number, pairs in owners.items()},
        retracted=frozenset(key for row in _records(url, _RETRACTED) for key in _keys(row)),
    )


def _records(url: str, sql: str) -> list[dict[str, Any]]:
    columns, rows = run_query(url, sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _keys(row: Mapping[str, Any]) -> list[Key]:
    keys: list[Key] = []
    if row["accession_number"]:
        keys.append((row["accession_number"],))
    if row["patient_id"]:
        keys.append((row["patient_id"], row["study_date"]))
    return keys
