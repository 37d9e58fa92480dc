"""Whatever stands in the attributes that we copy: both objects are made, of valid values."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.valuerep import validate_value

from ra_daemon.dicom import carried
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.steps.compose import datasets, encoded
from tests.support import dicom_sources, scored

SHAPE = {carried.EVIDENCE, "Rows", "Columns"}
"""Not of a scored image: it is no report, and its pixels could be decoded."""
TEXTS = sorted(k for k in carried.ROOT if dictionary_VR(k) != "SQ" and k not in SHAPE)
SEQUENCES = sorted(k for k in carried.ROOT if dictionary_VR(k) == "SQ" and k not in SHAPE)

WORDS = st.sampled_from(
    (
        *("\\", "^", "=", "\0", "\x07", "\x1b$B", "\x85", "\n", " ", "ü", "山", "YES", "TEXT"),
        *("20260231", "20261101", "101112", "1.2.3", "1.02", "0.5", "1e999", "L", "045Y", "+0100"),
    )
)
VALUES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(WORDS, max_size=20).map(lambda words: "".join(words).encode()),
)
CHARSETS = st.sampled_from(
    ("", "ISO_IR 100", "ISO_IR 144", "ISO_IR 192", "\\ISO 2022 IR 87", "GB18030", "KLINGON")
)


@st.composite
def items(draw: st.DrawFn, sequence: str) -> list[Dataset]:
    made = []
    for _ in range(draw(st.integers(0, 2))):
        item = Dataset()
        inner = carried.in_items(sequence)
        for keyword in draw(st.lists(st.sampled_from(inner), unique=True)):
            if dictionary_VR(keyword) == "SQ":
                setattr(item, keyword, draw(items(keyword)))
            else:
                item[keyword] = dicom_sources.raw(keyword, draw(VALUES))
        made.append(item)
    return made


@st.composite
def headers(draw: st.DrawFn) -> Dataset:
    ds = Dataset()
    ds["SpecificCharacterSet"] = dicom_sources.raw("SpecificCharacterSet", draw(CHARSETS))
    for keyword in draw(st.lists(st.sampled_from(TEXTS), max_size=40, unique=True)):
        vr = draw(st.sampled_from((None, None, None, "LO", "DA", "UN")))
        ds[keyword] = dicom_sources.raw(keyword, draw(VALUES), vr)
    for keyword in draw(st.lists(st.sampled_from(SEQUENCES), max_size=8, unique=True)):
        setattr(ds, keyword, draw(items(keyword)))
    return ds


def every_value_is_valid(ds: Dataset) -> None:
    """By pydicom's own rules at their strictest."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                every_value_is_valid(item)
        elif element.VR not in ("OB", "OW", "US", "FD", "FL"):
            values = element.value if element.VM > 1 else [element.value]
            for value in values:
                if value not in (None, ""):
                    validate_value(element.VR, str(value), config.RAISE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("base") / "base.dcm")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(header=headers())
def test_no_header_keeps_a_report_from_being_made(base: Path, header: Dataset) -> None:
    source = base.with_name("dirty.dcm")
    dicom_sources.dirty(source, base, lambda ds: ds.update(header))
    made = ReportInput(
        sources=(source,), source_digests=("aa",), created_at=datetime(2026, 11, 1, tzinfo=UTC),
        pipeline_digest="pp", scored=scored.both_hands(),
    )  # fmt: skip
    before = dcmread(base)
    objects = dict(datasets(made))
    assert objects.keys() == {"sr", "capture"}
    for written in objects.values():
        ds = dcmread(BytesIO(encoded(written)))
        assert ds.StudyInstanceUID == before.StudyInstanceUID
        every_value_is_valid(ds)
