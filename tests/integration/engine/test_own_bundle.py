"""Another author's scorer that brings its own model: checked, run and reported by its own role."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from pydicom import dcmread

from tests.support import thirdparty
from tests.support.bundles import SCORE, score_bundle
from tests.support.processes import command
from tests.support.site import phantoms


def test_a_scorer_runs_on_the_bundle_that_it_brings(tmp_path: Path) -> None:
    plugins = thirdparty.install("ra_scorer_own", tmp_path / "plugins")
    manifest = SCORE.replace('"svdh", "severity", "cam"', '"own_role"').replace("small", "own")
    score_bundle(plugins / "own_bundle", manifest=manifest)
    (file,) = phantoms(tmp_path / "in", 1, 7, size=320)
    config = tmp_path / "ra-daemon.toml"
    config.write_text('[store]\nroot = "store"\n[[route]]\nname = "all"\n'
                      'scorers = ["svdh", "gradcam", "own"]\n')  # fmt: skip
    paths = os.pathsep.join(filter(None, (str(plugins), os.environ.get("PYTHONPATH", ""))))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [*command("ra-daemon"), *words, "--config", str(config)]
        return subprocess.run(line, env={**os.environ, "PYTHONPATH": paths}, capture_output=True,
                              text=True, timeout=240, check=False)  # fmt: skip

    checked = run("plugins", "check", "own")
    assert checked.returncode == 0, checked.stderr
    (row,) = json.loads(run("score", str(file), "--json").stdout)
    assert (row["status"], row["bundle"]) == ("scored", "demo")
    assert ("own", "99OWN") in _concepts(Path(row["sr"]))


def _concepts(path: Path) -> set[tuple[str, str]]:
    """Concepts of every item of a report."""
    return {
        (e.value[0].CodeValue, e.value[0].CodingSchemeDesignator)
        for e in dcmread(path).iterall()
        if e.keyword == "ConceptNameCodeSequence" and e.value
    }
