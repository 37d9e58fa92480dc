"""The documentation builds without a warning and says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

DOCS = REPOSITORY / "docs"
VIEWS = REPOSITORY / "daemon" / "ra_daemon" / "store" / "views"


def test_the_documentation_builds(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="pip install -e .[docs]")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*build, DOCS, tmp_path / "html"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    targets = [t for t in re.findall(r"\]\(([^)#]+)", text) if "://" not in t]
    assert [t for t in targets if not (REPOSITORY / t).exists()] == []


def test_readme_names_only_commands_that_exist() -> None:
    from ra_daemon.cli import main

    known = set(main.list_commands(None))  # type: ignore[arg-type]
    pages = [REPOSITORY / "README.md", *(DOCS.glob("*.md"))]
    texts = [page.read_text() for page in pages]
    code = [part for text in texts for part in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL)]
    used = {n for part in code for n in re.findall(r"(?:^|[\s`/])ra-daemon ([a-z][a-z-]*)", part)}
    assert used
    assert used <= known


def test_every_column_of_the_results_is_told() -> None:
    query = (VIEWS / "v1_results.sql").read_text()
    selected = query[query.index("SELECT") : query.index("FROM result")]
    selected = selected[: selected.index("o.id AS outcome_id")]
    names = set(re.findall(r"AS (\w+)", selected)) | set(re.findall(r"\b[ior]\.(\w+),", selected))
    told = (DOCS / "trials.md").read_text()
    hidden = {"dataset_sha256"}  # told by its public name, source_sha256
    assert {n for n in names - hidden if not re.search(rf"\b{n}\b", told)} == set()


def test_conformance_names_what_the_receiver_takes() -> None:
    from ra_daemon.dicom import scp

    text = (DOCS / "conformance.md").read_text()
    accepted = text[text.index("## We accept") : text.index("## We send")]
    told = set(re.findall(r"\| (1\.2\.840[\d.]+) \|", accepted)) - {"1.2.840.10008.1.1"}
    classes = {uid for uid in told if uid.startswith("1.2.840.10008.5.1.4.1.1.")}
    assert classes == set(scp.STORAGE_CLASSES)
    assert told - classes == set(scp.TRANSFER_SYNTAXES)


def test_conformance_names_every_code_of_ours() -> None:
    from ra_daemon.dicom import codes

    text = (DOCS / "conformance.md").read_text()
    table = text[text.index("### Codes of the scheme 99RADAEMON") :]
    told = dict(re.findall(r"\| (RA\d{4}(?:-k-K)?) \| (.+) \|", table))
    counted = {f"{v}-k-K": m.format(k="k", of="K") for v, m in codes.FAMILIES.items()}
    assert told == {**codes.OWN, **counted}


def test_the_plugin_tutorial_is_short_and_whole() -> None:
    from ra_engine.contracts import Scorer

    text = (DOCS / "plugins.md").read_text()
    source = re.search(r"```python\n(.+?)```", text, re.DOTALL)
    assert source is not None
    assert len([line for line in source[1].splitlines() if line.strip()]) <= 30
    space: dict[str, object] = {}
    exec(compile(source[1], "exposure_scorer.py", "exec"), space)
    scorer = space["ExposureScorer"]()  # type: ignore[operator]
    assert isinstance(scorer, Scorer)
    project = re.search(r"```toml\n(\[build-system.+?)```", text, re.DOTALL)
    assert project is not None
    assert "ra_daemon.scorers" in tomllib.loads(project[1])["project"]["entry-points"]
