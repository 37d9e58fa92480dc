"""Pictures of the documentation are of the generator and the bundle that ship."""

from __future__ import annotations

import pytest
from PIL import Image

from ra_engine.bundle import load_bundle
from ra_training.phantom import PHANTOM_VERSION
from tests.support.paths import REPOSITORY

STATIC = REPOSITORY / "docs" / "_static"
AGAIN = "draw the pictures anew: python docs/pictures.py"


@pytest.mark.parametrize("name", ["capture.png", "phantom-contact-sheet.png"])
def test_a_picture_shows_what_the_generator_draws(name: str) -> None:
    with Image.open(STATIC / name) as picture:
        assert picture.info.get("generator") == PHANTOM_VERSION, AGAIN


def test_the_capture_is_of_the_bundle_that_ships() -> None:
    shipped = load_bundle(REPOSITORY / "plugins" / "ra_plugins" / "bundles" / "demo").manifest
    with Image.open(STATIC / "capture.png") as picture:
        assert picture.info.get("bundle") == f"{shipped.name} {shipped.version}", AGAIN
