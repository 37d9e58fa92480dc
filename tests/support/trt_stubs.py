"""Type stubs of the real TensorRT bindings, made from the installed modules.

The bindings of TensorRT proper link to libraries that stand on no package index. Only ten C
functions of them are needed to *import* the module (not to run anything), so a machine with a C
compiler and the bindings' wheel can still read the API's signatures.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SYMBOLS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry",
    "initLibNvInferPlugins", "getInferLibVersion",
)  # fmt: skip
_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

STUBGEN = """
import sys
from mypy.stubgen import main
if __name__ == "__main__":
    main(["--inspect-mode", "-q", "-m", sys.argv[1], "-o", sys.argv[2]])
"""


def hollow_libraries(folder: Path, major: int = 11) -> Path:
    """Shared objects that let ``tensorrt_bindings`` be imported; every function gives null."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    source = folder / "hollow.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _SYMBOLS))
    for name in _LIBRARIES:
        soname = f"lib{name}.so.{major}"
        subprocess.run(
            [compiler, "-shared", "-fPIC", f"-Wl,-soname,{soname}",
             "-o", str(folder / soname), str(source)],
            check=True,
        )  # fmt: skip
    return folder


def environment(folder: Path, package: str) -> dict[str, str]:
    """Environment in which ``package`` can be imported, or the test is skipped."""
    if importlib.util.find_spec(package) is None:
        wheel = {"tensorrt_bindings": "tensorrt-cu13-bindings"}.get(
            package, "tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
        )
        message = f"{package} is not installed: pip install --no-deps {wheel}"
        if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
            pytest.fail(message)
        pytest.skip(message)
    made = dict(os.environ)
    if package == "tensorrt_bindings":
        made["LD_LIBRARY_PATH"] = str(hollow_libraries(folder))
    return made


def fetched(folder: Path, version: str) -> dict[str, str]:
    """Environment in which the bindings of TensorRT ``version`` can be imported, from the index."""
    target = folder / "bindings"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--target", str(target), f"tensorrt-cu12-bindings=={version}"],
        check=True, timeout=300,
    )  # fmt: skip
    libraries = hollow_libraries(folder, int(version.partition(".")[0]))
    path = os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": path}


def write_stubs(package: str, module: str, folder: Path, env: dict[str, str]) -> None:
    """``folder/package/{__init__,module}.pyi``."""
    script = folder / "make_stubs.py"
    script.write_text(STUBGEN)
    subprocess.run(
        [sys.executable, str(script), f"{package}.{module}", str(folder)], check=True, env=env
    )
    made = folder / package / f"{module}.pyi"
    made.write_text(parsable(made.read_text()))
    (folder / package / "__init__.pyi").write_text(f"from .{module} import *\n__version__: str\n")


def parsable(text: str) -> str:
    """Widen the signatures that stubgen got wrong (a default before a required parameter)."""
    lines = text.splitlines()
    while True:
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            head, _, _ = lines[at].partition("(")
            if not head.lstrip().startswith("def "):
                raise
            lines[at] = f"{head}(self, *args, **kwargs): ..."
        else:
            return "\n".join(lines) + "\n"
