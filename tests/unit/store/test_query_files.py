"""Rows as JSON, CSV and Parquet: exact, deterministic, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from ra_daemon.errors import StoreError
from ra_daemon.store import query

COLUMNS = ["name", "value"]
EAST = timezone(timedelta(hours=2))


def as_csv(rows: list[tuple[object, ...]]) -> str:
    out = io.StringIO(newline="")
    query.write_csv(COLUMNS, rows, out)
    return out.getvalue()


def test_json_keeps_types() -> None:
    out = io.StringIO()
    query.write_json(COLUMNS, [("é", 1.5), ("x", None)], out)
    assert json.loads(out.getvalue()) == [
        {"name": "é", "value": 1.5},
        {"name": "x", "value": None},
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\r=x", "\n=x", "＝1"])
def test_text_that_looks_like_a_formula_is_defused(text: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv([(text, -1.5)]), newline="")))
    assert rows[1] == ["'" + text, "-1.5"]


@given(st.text())
def test_no_cell_starts_a_formula_and_text_survives(text: str) -> None:
    _header, (cell, _one) = csv.reader(io.StringIO(as_csv([(text, 1)]), newline=""))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (text, "'" + text)


def test_parquet_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    query.write_parquet([*COLUMNS, "none"], [("a", 1.5, None), ("b", None, None)], path)
    assert parquet.read_table(path).to_pydict() == {
        "name": ["a", "b"],
        "value": [1.5, None],
        "none": [None, None],
    }


def test_mixed_columns_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="value mixes"):
        query.write_parquet(COLUMNS, [("a", 1.5), ("b", "x")], tmp_path / "x.parquet")


def test_rows_have_one_order() -> None:
    rows: list[tuple[object, ...]] = [("b", 1), (None, 2), (3, 0), ("a", None), ("a", 0)]
    expected = [(None, 2), (3, 0), ("a", None), ("a", 0), ("b", 1)]
    assert query.sorted_rows(rows) == expected
    assert query.sorted_rows(reversed(rows)) == expected


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T01:04:00.000000Z",
        ),
        (datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None), "2026-01-02T00:00:00.000000Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal(3), 3),
        (Decimal("3.5"), 3.5),
        (b"\x01", "01"),
        ("x", "x"),
    ],
)
def test_values_are_the_same_from_both_databases(value: object, plain: object) -> None:
    assert query._plain(value) == plain
