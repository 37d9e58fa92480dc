"""AOTInductor: torch's ahead-of-time compiled package, the GPU engine where TensorRT cannot be had.

Built on the machine that runs it, for its torch version and device. Runs on a CPU too, where the
tests exercise it; there ONNX Runtime is the better choice.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ra_engine.backends.torch import (
    TorchSession,
    device,
    device_facts,
    graph_module,
    torch_module,
)
from ra_engine.errors import BackendError, EngineFileError
from ra_engine.recipe import RECIPE
from ra_engine.spec import EngineSpec, Form, Precision

STANDING = "never run on a GPU by us"
"""What doctor and the self-test say of it: our tests run it on a CPU."""


class AotiBackend:
    """Compiles graphs into ``.pt2`` packages and runs them.

    Attributes:
        standing: whether anybody here has seen it run where it is meant to.
    """

    name = "aoti"
    family = "cuda"
    suffix = ".pt2"
    standing = STANDING
    forms: Mapping[Precision, Form] = {"fp32": "master", "fp16": "cast", "bf16": "cast"}

    def load(self, graph: Path, spec: EngineSpec) -> TorchSession:
        """Compile and load without a cache; the graph is in the precision's form."""
        torch, engine = torch_module(), self.build(graph, spec)
        digest = hashlib.sha256(engine).hexdigest()[:12]
        key = f"{self.name}-{torch.__version__}-{spec.device}-{spec.precision}-{digest}"
        return self.open(graph, engine, spec, key=key)

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        """Versions of torch and CUDA, the device, and what the package is exported for.

        Raises:
            RuntimeMissingError: torch is not installed.
            DriverError: torch sees no such GPU.
        """
        torch = torch_module()
        return {**device_facts(torch, device(torch, spec)), "recipe": RECIPE, "rows": spec.rows}

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        """Compile a graph that is already in the wanted precision; minutes for large ensembles.

        Raises:
            BackendError: the graph cannot be exported, or there is no compiler.
        """
        torch = torch_module()
        where = device(torch, spec)
        module = graph_module(graph).to(where)
        free = torch.export.Dim("b", min=1, max=max(spec.rows, 2))
        example = torch.zeros((2, *module.shape), device=where)
        inductor: Any = importlib.import_module("torch._inductor")
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            try:
                program = torch.export.export(
                    module, (example,), dynamic_shapes=({0: free},), strict=False
                )
                path = inductor.aoti_compile_and_package(
                    program, package_path=str(Path(folder) / "engine.pt2")
                )
            except Exception as error:  # exporter, compiler and C++ compiler share no base class
                raise BackendError(
                    f"AOTInductor cannot compile {graph.name}: {_first_line(error)}",
                    hint="It needs a C++ compiler (apt-get install g++), for a GPU triton too.",
                ) from error
            return Path(path).read_bytes()

    def open(self, graph: Path, engine: bytes, spec: EngineSpec, *, key: str) -> TorchSession:
        """Load a package whose hash the caller has checked: it is executable code.

        Raises:
            EngineFileError: the package does not load.
            DriverError: torch sees no such GPU.
        """
        device(torch_module(), spec)
        inductor: Any = importlib.import_module("torch._inductor")
        names, shape = _face(graph)
        with tempfile.NamedTemporaryFile(suffix=".pt2") as stream:
            stream.write(engine)
            stream.flush()
            try:
                # Left alone, the loader takes the first GPU, whatever tensors it is given.
                call = (
                    inductor.aoti_load_package(stream.name)
                    if spec.ordinal is None
                    else inductor.aoti_load_package(stream.name, device_index=spec.ordinal)
                )
            except Exception as error:  # the loader raises what its C++ side raises
                raise EngineFileError(
                    f"The AOTInductor package does not load: {_first_line(error)}"
                ) from error
        return TorchSession(call, names, shape, spec, key=key)


def _face(graph: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the outputs, shape of an input row."""
    onnx: Any = importlib.import_module("onnx")
    found = onnx.load(str(graph), load_external_data=False).graph
    dims = found.input[0].type.tensor_type.shape.dim
    return tuple(o.name for o in found.output), tuple(d.dim_value for d in dims)[1:]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"
