"""A wheel, as people install it: no file of the checkout is missing, and it works without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.thirdparty import need_hatchling

PACKAGES = ("daemon/ra_daemon", "plugins/ra_plugins", "ra_engine/ra_engine", "training/ra_training")
AT_WORK = """
import json
from importlib.resources import files
from pathlib import Path

import ra_daemon
from click.testing import CliRunner
from ra_daemon.cli import main
from ra_engine import registry

def told(*words):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, (words, done.output)
    return done.output

told("init", "site")
config = ("--config", "site/ra-daemon.toml")
told("db", "upgrade", *config)
print(json.dumps({
    "home": str(Path(ra_daemon.__file__).parent.parent),
    "results": json.loads(told("query", "select count(*) as n from v1_results", "--json", *config)),
    "page": files("ra_daemon.web").joinpath("page.html").is_file(),
    "bundles": {m["name"]: m["files"] for m in json.loads(told("models", "list", "--json"))},
    "scorers": sorted(registry.load_scorers()[0]),
    "backends": sorted(registry.load_backends()[0]),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_hatchling()
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    (made,) = folder.glob("*.whl")
    return made


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    words = ["git", "ls-files", "-z", "--", *PACKAGES]
    listed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    ours = {name.partition("/")[2] for name in listed.stdout.split("\0") if name}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert ours - held == set()
    kinds = {Path(name).suffix for name in ours}
    assert kinds >= {".py", ".sql", ".html", ".j2", ".toml", ".onnx", ".npz", ".md", ".typed"}
    roots = {name.partition("/")[0] for name in held if ".dist-info/" not in name}
    assert roots == {package.partition("/")[2] for package in PACKAGES}


def test_it_works_far_from_any_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site-packages")
    env = {k: v for k, v in os.environ.items() if not k.startswith("RA_DAEMON_")}
    env["PYTHONPATH"] = str(tmp_path / "site-packages")
    done = subprocess.run(
        [sys.executable, "-c", AT_WORK],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "home": str(tmp_path / "site-packages"),
        "results": [{"n": 0}],
        "page": True,
        "bundles": {"demo": "verified", "locator": "verified"},
        "scorers": ["gradcam", "severity", "svdh"],
        "backends": [
            *("aoti", "onnxruntime", "onnxruntime-cuda"),
            *("openvino", "tensorrt", "tensorrt-rtx", "torch"),
        ],
    }
