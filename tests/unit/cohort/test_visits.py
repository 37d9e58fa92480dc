"""The visit file: what is read, and that every fault names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_daemon.cohort.visits import read_mapping
from ra_daemon.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "visits.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_read(tmp_path: Path) -> None:
    mapping = read_mapping(
        write(
            tmp_path,
            "\ufeffpatient_id, study_date,subject,visit,arm\n"
            "P2,2026-01-05,S2,W0,B\n"
            "\n"
            "P1,20260101,S1,W0,A\n"
            ",,S1,W52,A\n",
        )
    )
    assert mapping.order == ("W0", "W52")
    assert mapping.subjects == ("S1", "S2")
    assert [v.key for v in mapping.visits] == [("P2", "20260105"), ("P1", "20260101"), None]
    assert [v.line for v in mapping.visits] == [2, 4, 5]


def test_accession_numbers_are_keys(tmp_path: Path) -> None:
    mapping = read_mapping(write(tmp_path, "accession_number,subject,visit\nA1,S1,W0\n"))
    assert mapping.visits[0].key == ("A1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: missing column"),
        ("subject,visit\nS,W\n", "line 1: neither accession_number nor patient_id"),
        ("subject,visit,accession_number,colour\n", "unknown column colour"),
        ("subject,visit,visit,accession_number\n", "twice visit"),
        ("subject,visit,accession_number\n", "no rows"),
        ("subject,visit,accession_number\n,W0,A1\n", "line 2: subject is empty"),
        ("subject,visit,accession_number\nS,W0,A1,x\n", "line 2: more cells"),
        ("subject,visit,patient_id,study_date\nS,W0,P,\n", "line 2: patient_id and study_date"),
        ("subject,visit,patient_id,study_date\nS,W0,P,1.2.2026\n", "line 2: study_date is no date"),
        (
            "subject,visit,accession_number\nS,W0,A1\nS,W0,A2\n",
            "line 3: this subject's visit is on line 2",
        ),
        (
            "subject,visit,accession_number\nS,W0,A1\nT,W0,A1\n",
            "line 3: this study is on line 2",
        ),
        (
            "subject,visit,accession_number,arm\nS,W0,A1,X\nS,W1,A2,Y\n",
            "line 3: another arm than on line 2",
        ),
    ],
)
def test_every_fault_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_mapping(write(tmp_path, text))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mapping(write(tmp_path, "subject,visit,accession_number\n,W0,A1\nS,,A2\n"))
    assert "line 2" in str(caught.value)
    assert "line 3" in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mapping(tmp_path / "none.csv")
