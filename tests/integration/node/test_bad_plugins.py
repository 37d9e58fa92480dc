"""A plugin that raises, hangs (also in native code) or eats memory loses only its own job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset

from tests.support import thirdparty
from tests.support.processes import run_node, wait_until
from tests.support.site import (
    REPORTS,
    column,
    phantoms,
    rows,
    send,
    settled,
    sink_pacs,
    uids,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")
BAD_JOB = 2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["raiser", "sleeper", "native_hang", "eater"])
def test_only_the_bad_job_is_lost(tmp_path: Path, kind: str) -> None:
    plugins = thirdparty.install("ra_scorer_bad", tmp_path / "plugins")
    files = phantoms(tmp_path / "in", 4, 61, size=320)
    limits = "time_limit_s = 6.0\nmemory_limit_mb = 1200\nmax_attempts = 1\nbatch = 4"
    site = write_site(tmp_path / "site", [], scoring=limits, route=f'scorers = ["svdh", "{kind}"]')
    env = {"PYTHONPATH": str(plugins), "RA_BAD_TRIGGER": str(BAD_JOB)}
    with run_node(site, env=env) as node:
        assert set(send(node.port, files).values()) == {0x0000}
        ended = "SELECT count(*) FROM v1_jobs WHERE state IN ('scored', 'failed')"
        wait_until(lambda: column(site, ended) == [4], 120)
        jobs = rows(site, "SELECT job_id, state, attempts, blame, cause FROM v1_jobs ORDER BY 1")
        assert [j["state"] for j in jobs] == ["scored", "failed", "scored", "scored"]
        assert kind in jobs[1]["blame"]
        assert {j["attempts"] for j in jobs if j["job_id"] != BAD_JOB} == {0}
        assert jobs[1]["attempts"] == 1

        later = phantoms(tmp_path / "later", 1, 62, size=320)
        send(node.port, later)
        wait_until(lambda: column(site, ended) == [5], 60)
        scored = column(site, "SELECT DISTINCT sop_instance_uid FROM v1_results")
        assert uids(later) <= set(scored)
        assert "DOE^JANE" not in node.text()


def test_a_third_party_scorer_is_found_run_stored_and_reported(tmp_path: Path) -> None:
    plugins = thirdparty.install("ra_scorer_mean", tmp_path / "plugins")
    files = phantoms(tmp_path / "in", 1, 63, size=320)
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        file = site / "ra-daemon.toml"
        scorers = 'name = "all"\nscorers = ["svdh", "mean"]'
        file.write_text(file.read_text().replace('name = "all"', scorers))
        with run_node(site, env={"PYTHONPATH": str(plugins)}) as node:
            send(node.port, files)
            wait_until(lambda: settled(site, 1), 60)
        found = {r["kind"]: r for r in rows(site, "SELECT * FROM v1_results")}
        assert {"svdh_total", "svdh_member", "mean_grey"} <= found.keys()
        assert found["mean_grey"]["bundle"] == "ra-scorer-mean"
        (report,) = sink.datasets(REPORTS)
    (group,) = [g for g in report.iterall() if g.keyword == "ContentSequence" and holds(g, "mean")]
    said = {
        (i.ConceptNameCodeSequence[0].CodeValue, i.ValueType): i
        for i in group.value
        if "ConceptNameCodeSequence" in i
    }
    measured = said["mean", "NUM"].MeasuredValueSequence[0]
    assert float(measured.NumericValue) == pytest.approx(found["mean_grey"]["value"], abs=1e-3)
    # Its value is no SvdH score, and the report does not call it one.
    finding = said["121071", "CODE"].ConceptCodeSequence[0]
    assert (finding.CodeValue, finding.CodingSchemeDesignator) == ("mean", "99MEAN")
    words = {i.CodeMeaning for i in codes_of(group.value)}
    assert not [w for w in words if "SvdH" in w or "joint damage" in w or "not normal" in w]


def holds(element: DataElement, code: str) -> bool:
    """Whether a container has a NUM with this concept as its own child."""
    return any(
        i.get("ValueType") == "NUM" and i.ConceptNameCodeSequence[0].CodeValue == code
        for i in element.value
    )


def codes_of(items: Sequence[Dataset]) -> list[Dataset]:
    """Every code item below."""
    return [d for item in items for d in below(item) if "CodeMeaning" in d]


def below(item: Dataset) -> Iterator[Dataset]:
    yield item
    for element in item:
        if element.VR == "SQ":
            for one in element.value:
                yield from below(one)
