"""Which module serves, and what is said when none does."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from ra_engine.backends.trt.flavour import TENSORRT, TENSORRT_RTX, Flavour
from ra_engine.errors import RuntimeMissingError


@pytest.mark.parametrize("flavour", [TENSORRT, TENSORRT_RTX])
def test_a_missing_library_names_its_package(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> ModuleType:
        raise ImportError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(RuntimeMissingError, match=r"libnvinfer\.so\.11") as caught:
        flavour.load()
    assert "pip install" in caught.value.hint
    assert caught.value.code == "backend.missing"


def test_the_first_module_that_imports_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def second(name: str) -> ModuleType:
        asked.append(name)
        if len(asked) == 1:
            raise OSError("libtensorrt_rtx.so.1: file too short")
        return ModuleType(name)

    monkeypatch.setattr(importlib, "import_module", second)
    TENSORRT_RTX.load()
    assert asked == list(TENSORRT_RTX.modules)
