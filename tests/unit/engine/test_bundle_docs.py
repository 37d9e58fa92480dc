"""The documented manifest is a valid one, and names every key there is."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

from pydantic import BaseModel

from ra_engine.manifest import Manifest
from tests.support.paths import REPOSITORY


def documented() -> dict[str, object]:
    text = (REPOSITORY / "docs" / "bundle.md").read_text()
    found = re.search(r"## manifest\.toml\n\n```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return tomllib.loads(found.group(1))


def table_of(annotation: object) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def assert_whole(model: type[BaseModel], table: dict[str, object], where: str) -> None:
    assert model.model_fields.keys() == table.keys(), where
    for name, field in model.model_fields.items():
        inner, held = table_of(field.annotation), table[name]
        if inner is not None and isinstance(held, dict):
            assert_whole(inner, held, f"{where}.{name}")


def test_the_example_is_valid() -> None:
    manifest = Manifest.model_validate(documented())
    assert manifest.roles == ("svdh", "severity", "cam")


def test_every_key_is_documented() -> None:
    assert_whole(Manifest, documented(), "manifest")
