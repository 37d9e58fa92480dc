"""Fixed places in pinned and device memory for every tensor, sized for the largest batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.trt.api import Engine, TensorRt
from ra_engine.backends.trt.cuda import Cuda
from ra_engine.errors import EngineFileError

_WORD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One tensor: ``shape`` of a row, host rows and their address on the device."""

    name: str
    shape: tuple[int, ...]
    host: NDArray[np.float32]
    device: int

    @property
    def row(self) -> int:
        """Bytes of one row."""
        return _WORD * int(np.prod(self.shape, dtype=np.int64))


def shapes(api: TensorRt, engine: Engine) -> tuple[tuple[str, tuple[int, ...]], Mapping[str, Any]]:
    """The input (name, row shape) and the row shape of every output.

    Raises:
        EngineFileError: the engine has not one FP32 input and FP32 outputs, all (batch, ...).
    """
    modes: Any = getattr(api, "TensorIOMode")  # noqa: B009 - an enumeration of the module
    kinds: Any = getattr(api, "DataType")  # noqa: B009
    inputs: dict[str, tuple[int, ...]] = {}
    outputs: dict[str, tuple[int, ...]] = {}
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        batch, *row = (int(n) for n in engine.get_tensor_shape(name))
        if engine.get_tensor_dtype(name) != kinds.FLOAT or batch != -1 or any(n < 1 for n in row):
            raise EngineFileError(f"Tensor {name} of the engine is not FP32 (batch, fixed ...).")
        side = inputs if engine.get_tensor_mode(name) == modes.INPUT else outputs
        side[name] = tuple(row)
    if len(inputs) != 1:
        raise EngineFileError(f"The engine has {len(inputs)} inputs; a bundle's has one.")
    return next(iter(inputs.items())), outputs


def slot(cuda: Cuda, name: str, shape: tuple[int, ...], rows: int) -> Slot:
    """Allocate pinned and device memory for ``rows`` rows."""
    host = cuda.pinned((rows, *shape))
    return Slot(name=name, shape=shape, host=host, device=cuda.allocate(host.nbytes))
