"""Splits: patients stay together, sets are stratified, written splits are verified."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ra_training.data.sample import Sample
from ra_training.data.splits import SETS, load, refuse_overlap, split
from ra_training.errors import TrainingError


def cohort(n: int = 200) -> list[Sample]:
    """Patients of one or two visits, a quarter in each band."""
    return [
        Sample(
            key=f"k{i}-{v}", patient_id=f"p{i}", visit=str(v), source="table", image=None,
            hands="both", score=(0.0, 5.0, 30.0, 90.0)[i % 4],
        )
        for i in range(n)
        for v in range(1 + i % 2)
    ]  # fmt: skip


def test_sets_have_their_shares_in_every_band() -> None:
    made = split(cohort(), seed=1)
    people = {r.patient_id: (r.part, r.band) for r in made.rows}
    counts = Counter(people.values())
    for band in range(4):
        assert [counts[s, band] for s in SETS] == pytest.approx([35, 7.5, 7.5], abs=1)
    assert Counter(r.part for r in made.rows).total() == 300


def test_folds_hold_each_patient_out_once() -> None:
    samples = cohort()
    made = split(samples, seed=1, folds=5)
    held: Counter[str] = Counter()
    test = {samples[i].patient_id for i in made.part("test", samples)}
    for index in range(5):
        train, out = made.fold(index, samples)
        inside = {samples[i].patient_id for i in train}
        outside = {samples[i].patient_id for i in out}
        assert not inside & outside
        assert not test & (inside | outside)
        held.update(outside)
    assert set(held.values()) == {1}
    assert len(held) + len(test) == 200
    with pytest.raises(TrainingError, match="fold 5"):
        made.fold(5, samples)


def test_the_seed_decides_and_the_order_does_not() -> None:
    samples = cohort()
    assert split(samples, seed=1) == split(samples[::-1], seed=1)
    assert split(samples, seed=1) != split(samples, seed=2)


def test_written_splits_are_verified(tmp_path: Path) -> None:
    made = split(cohort(), seed=1)
    digest = made.save(tmp_path)
    assert load(tmp_path) == made
    assert digest == split(cohort(), seed=1).save(tmp_path / "again")
    path = tmp_path / "split.csv"
    path.write_text(path.read_text().replace(",test,", ",train,", 1))
    with pytest.raises(TrainingError) as caught:
        load(tmp_path)
    assert caught.value.code == "split-changed"


def test_a_patient_in_two_sets_is_refused_without_a_name() -> None:
    refuse_overlap({"train": ["a", "b"], "test": ["c"]})
    with pytest.raises(TrainingError) as caught:
        refuse_overlap({"train": ["Doe", "b"], "test": ["Doe"]})
    assert caught.value.code == "patients-overlap"
    assert "Doe" not in str(caught.value)


def test_a_forged_split_with_overlap_is_refused(tmp_path: Path) -> None:
    import hashlib
    import json

    split(cohort(), seed=1).save(tmp_path)
    path = tmp_path / "split.csv"
    lines = path.read_text().splitlines(keepends=True)
    odd = [i for i, line in enumerate(lines) if "-1,table" in line and ",train," in line]
    lines[odd[0]] = lines[odd[0]].replace(",train,", ",test,")
    path.write_text("".join(lines))
    facts = json.loads((tmp_path / "split.json").read_text())
    facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "split.json").write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match="1 patients are in"):
        load(tmp_path)


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(TrainingError, match="add up to 1"):
        split(cohort(), seed=1, fractions=(0.5, 0.5, 0.5))
    with pytest.raises(TrainingError, match="3 patients for 5"):
        split(cohort(3), seed=1)
    with pytest.raises(TrainingError, match="share a key"):
        split([*cohort(), cohort()[0]], seed=1)
    with pytest.raises(TrainingError, match="not in the split"):
        split(cohort(50), seed=1).part("train", cohort(60))
