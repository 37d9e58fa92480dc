"""Fixtures and habits of all tests."""

from __future__ import annotations

import os

import pytest

# One thread a session: xdist workers share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the nightly versions out unless they are asked for."""
    if config.getoption("-m"):
        return
    skip = pytest.mark.skip(reason="long version: make nightly")
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(skip)
