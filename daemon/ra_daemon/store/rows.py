"""Headers and origins between rows and domain values."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import Header, Origin


def dump_header(header: Header) -> str:
    """Canonical JSON of a header."""
    return json.dumps(asdict(header), sort_keys=True, ensure_ascii=False)


def load_header(text: str) -> Header:
    """The header that ``dump_header`` wrote."""
    fields: dict[str, Any] = json.loads(text)
    for name in ("image_type", "view_codes", "region_codes"):
        fields[name] = tuple(fields.get(name, ()))
    return Header(**fields)


def origin_of(row: sa.RowMapping) -> Origin:
    """Who sent the instance of this row."""
    return Origin(calling_ae=row["calling_ae"], called_ae=row["called_ae"], address=row["address"])
