"""Bundles that ship with the distribution: demonstrations, trained on generated images."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def demo() -> Path:
    """The scorer: SvdH ensemble, damage bands, heatmap."""
    return _HERE / "demo"


def locator() -> Path:
    """The locator: hands, landmarks, kind of image."""
    return _HERE / "locator"
