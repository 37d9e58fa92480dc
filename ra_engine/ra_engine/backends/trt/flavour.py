"""TensorRT and TensorRT-RTX: where they differ, as data."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import cast

from ra_engine.backends.trt.api import TensorRt
from ra_engine.errors import RuntimeMissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One of the two libraries.

    Attributes:
        name: of the backend.
        modules: import names, first match wins.
        remedy: how to install it.
        rtx: plans are portable between devices and finished on the device when first used; CUDA
            graphs are the library's own business; there is no timing cache.
    """

    name: str
    modules: tuple[str, ...]
    remedy: str
    rtx: bool

    def load(self) -> TensorRt:
        """Import the library.

        Raises:
            RuntimeMissingError: it is not installed, or its shared objects are not found.
        """
        reasons = []
        for module in self.modules:
            try:
                return cast("TensorRt", importlib.import_module(module))
            except ImportError as error:
                reasons.append(f"{module}: {error}")
            except (OSError, RuntimeError) as error:  # a shared object that does not load
                reasons.append(f"{module}: {type(error).__name__}: {error}")
        raise RuntimeMissingError(
            f"{self.name} cannot be imported ({'; '.join(reasons)}).", hint=self.remedy
        )


TENSORRT = Flavour(
    name="tensorrt",
    modules=("tensorrt", "tensorrt_bindings"),
    remedy=(
        "pip install 'ra-daemon[tensorrt]' tensorrt (its libraries come from NVIDIA's own index, "
        "or from the distribution package libnvinfer11)."
    ),
    rtx=False,
)
TENSORRT_RTX = Flavour(
    name="tensorrt-rtx",
    modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
    remedy="pip install 'ra-daemon[tensorrt-rtx]' (Linux x86-64; NVIDIA's licence applies).",
    rtx=True,
)
