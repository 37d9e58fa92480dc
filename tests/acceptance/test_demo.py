"""``ra-daemon demo``: everything sent is accounted for, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

from ra_daemon import plugins
from ra_daemon.cohort.statistics import change_limits
from tests.support.offline import offline

pytestmark = pytest.mark.xdist_group("demo")  # one demo serves them all

ELSEWHERE = ("home", "tmp", "cwd")
"""Where a program may leave things: all empty when the demo begins."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [n for n in ("demo", "locator") if not plugins.bundle_path(n).is_dir()]
    if missing:
        pytest.skip(f"the bundles {', '.join(missing)} are not in this checkout")
    folder = tmp_path_factory.mktemp("demo")
    out = folder / "ra-demo"
    for name in ELSEWHERE:
        (folder / name).mkdir()
    away = {"ORT_DISABLE_TELEMETRY", *(k for k in os.environ if k.startswith("XDG_"))}
    env = {k: v for k, v in os.environ.items() if k not in away}
    env |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    done = subprocess.run(
        [*offline(), sys.executable, "-m", "ra_daemon", "demo", "--no-serve", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=folder / "cwd",
        env=env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b[" not in done.stdout
    (folder / "told.txt").write_text(done.stdout)
    return out


def test_all_are_accounted_for(demo: Path) -> None:
    told = json.loads((demo / "summary.json").read_text())
    assert (told["sent"], told["received"], told["lost"], told["duplicates"]) == (14, 14, 0, 0)
    assert (told["scored"], told["refused"], told["unexpected"]) == (12, 2, 0)
    assert told["refusals"] == {"not_a_hand": 1, "unreadable": 1}
    assert told["objects"] == 2 * told["scored"]
    assert told["seconds"] > 0
    assert 0.8 < told["pcc"] <= 1


def test_all_that_it_writes_is_in_its_folder(demo: Path) -> None:
    left = [p for name in ELSEWHERE for p in (demo.parent / name).rglob("*")]
    assert left == []


def test_it_tells_of_an_echo_in_both_directions(demo: Path) -> None:
    (line,) = (t for t in (demo.parent / "told.txt").read_text().splitlines() if "C-ECHO" in t)
    assert "the modality reaches the node" in line
    assert "the node reaches the mini PACS" in line


def test_it_tells_every_score_in_a_table(demo: Path) -> None:
    lines = (demo.parent / "told.txt").read_text().splitlines()
    (head,) = (n for n, line in enumerate(lines) if line.split()[:1] == ["subject"])
    names = ["subject", "visit", "truth", "score", "90 % interval", "band", "SR", "heatmap"]
    assert re.split(r"\s{2,}", lines[head].strip()) == names
    row = re.compile(r"\s*(\d+) +([123]) +\d+ +\d+\.\d +\d+ to \d+ +\d of \d +yes +yes\s*")
    rows = [found for line in lines[head + 1 :] if (found := row.fullmatch(line))]
    assert [(int(r[1]), int(r[2])) for r in rows] == [
        (s, v) for s in range(1, 5) for v in (1, 2, 3)
    ]


def test_the_scorer_was_killed_and_replaced(demo: Path) -> None:
    told = (demo.parent / "told.txt").read_text()
    killed = re.search(r"kill -9 (\d+): the scorer dies with (\d+) images in hand", told)
    assert killed is not None, told
    assert int(killed[2]) > 0
    after = re.search(r"another scorer, process (\d+)", told)
    assert after is not None
    assert after[1] != killed[1]


def test_objects_lie_in_the_studies_of_their_images(demo: Path) -> None:
    studies = {dcmread(p, stop_before_pixels=True).StudyInstanceUID
               for p in (demo / "radiographs").rglob("*.dcm")}  # fmt: skip
    kept = [dcmread(p, stop_before_pixels=True) for p in (demo / "pacs").glob("*.dcm")]
    assert {ds.Modality for ds in kept} >= {"SR"}
    assert {ds.StudyInstanceUID for ds in kept} <= studies


def test_the_page_is_one_file_and_says_what_it_is(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert "Not for clinical use" in page
    assert "phantom" in page
    assert "<svg" in page
    assert "data:image/png;base64," in page
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []


def test_the_page_s_changes_are_those_of_a_cohort(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    scores = [
        (subject, int(visit), float(value), (float(low), float(high)))
        for subject, visit, value, low, high in re.findall(
            r'<tr><td>(\d+)</td><td>(\d+)</td><td class="n">\d+</td><td class="n">([\d.]+)</td>'
            r'<td class="n">([\d.]+) to ([\d.]+)</td>', page
        )
    ]  # fmt: skip
    changes = re.findall(
        r'<tr><td>(\d+)</td><td>(\d+)</td><td class="n">([-+][\d.]+)</td>'
        r'<td class="n">([-+][\d.]+) to ([-+][\d.]+)</td><td>([a-z ]*)</td>', page
    )  # fmt: skip
    assert len(scores) == 12
    base = {s: (value, limits) for s, visit, value, limits in scores if visit == 1}
    expected = {
        (s, visit): (value - base[s][0], *change_limits(value, limits, *base[s]))
        for s, visit, value, limits in scores if visit > 1
    }  # fmt: skip
    assert len(changes) == len(expected) == 8
    for subject, visit, change, low, high, flag in changes:
        numbers = [float(change), float(low), float(high)]
        # The page rounds to one decimal place.
        assert numbers == pytest.approx(expected[subject, int(visit)], abs=0.3)
        if min(abs(numbers[1]), abs(numbers[2])) > 0.1:
            assert (flag != "") == (numbers[1] <= 0 <= numbers[2])


def test_no_process_stays(demo: Path) -> None:
    left = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(demo) in part for part in process.info["cmdline"] or ()):
            left.append(process.pid)
    assert left == []


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-m", "ra_daemon", "demo", "--no-serve", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert (tmp_path / "thesis.txt").read_text() == "precious"
