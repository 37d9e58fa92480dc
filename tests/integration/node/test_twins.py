"""One answer for each exposure: of twin objects one is scored, whichever arrives first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support.processes import run_node, wait_until
from tests.support.site import (
    REPORTS,
    column,
    phantoms,
    rows,
    send,
    settled,
    sink_pacs,
    sources,
    write_site,
)

pytestmark = pytest.mark.xdist_group("node without peers")
DX_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


def renamed(ds: Dataset, uid: str) -> Dataset:
    """The same pixels under another SOP instance UID."""
    copy = dcmread(ds.filename)
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = uid
    return copy


def raw(ds: Dataset, uid: str) -> Dataset:
    """The same exposure for processing: other pixels, same acquisition."""
    copy = renamed(ds, uid)
    copy.SOPClassUID = copy.file_meta.MediaStorageSOPClassUID = DX_PROCESSING
    copy.PresentationIntentType = "FOR PROCESSING"
    pixels = copy.pixel_array.copy()
    pixels[:4, :4] += 1
    copy.PixelData = pixels.tobytes()
    return copy


def verdicts(site: Path) -> dict[str, str]:
    """SOP instance UID -> "scored" or the text of its refusal."""
    told = dict.fromkeys(column(site, "SELECT sop_instance_uid FROM v1_results"), "scored")
    for row in rows(site, "SELECT * FROM v1_refusals"):
        assert row["sop_instance_uid"] not in told
        told[row["sop_instance_uid"]] = f"{row['reason_code']} {row['reason']}"
    return told


def queue_only(site: Path, objects: list[Dataset]) -> None:
    """Receive and admit without scoring, so that all twins are known before the first is scored."""
    with run_node(site, arguments=("--only", "receive")) as node:
        assert set(send(node.port, objects).values()) == {0}
        wait_until(lambda: column(site, "SELECT count(*) FROM v1_jobs") == [len(objects)], 30)
        assert node.stop() == 0


@pytest.mark.parametrize("backwards", [False, True])
def test_the_choice_is_the_same_whichever_arrives_first(tmp_path: Path, backwards: bool) -> None:
    (file,) = phantoms(tmp_path / "in", 1, 81)
    ready = dcmread(file)
    best, again = "2.25.1", "2.25.2"
    objects = [raw(ready, "2.25.0"), renamed(ready, again), renamed(ready, best)]
    if backwards:
        objects.reverse()
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        path = site / "ra-daemon.toml"
        path.write_text(
            path.read_text().replace(
                'name = "all"', 'name = "all"\nfor_processing = true\nrefusals = true'
            )
        )
        queue_only(site, objects)
        with run_node(site) as node:
            wait_until(lambda: settled(site, 3), 90)
            told = verdicts(site)
            assert told.pop(best) == "scored"
            assert set(told) == {"2.25.0", again}
            assert all(t.startswith("not_selected ") and best in t for t in told.values()), told
            # Sent again, nothing changes; a better twin that comes late changes nothing either.
            late = renamed(ready, "1.2.3")
            assert set(send(node.port, [*objects, late]).values()) == {0}
            wait_until(lambda: settled(site, 4), 60)
            told = verdicts(site)
            assert told.pop(best) == "scored"
            assert all(t.startswith("not_selected ") and best in t for t in told.values()), told
            assert "1.2.3" in told
            assert node.stop() == 0
        (report,) = sink.datasets(REPORTS)
        assert sources(report) == {best}


def test_a_twin_whose_better_is_refused_is_scored(tmp_path: Path) -> None:
    (file,) = phantoms(tmp_path / "in", 1, 82)
    ready = dcmread(file)
    better = renamed(ready, "2.25.1")  # the same acquisition, ready to look at, no hand to be seen
    pixels = better.pixel_array.copy()
    pixels[:] = int(pixels.mean())
    better.PixelData = pixels.tobytes()
    worse = raw(ready, "2.25.2")
    with sink_pacs(tmp_path / "pacs") as sink:
        site = write_site(tmp_path / "site", [sink.peer])
        path = site / "ra-daemon.toml"
        path.write_text(path.read_text().replace('"all"', '"all"\nfor_processing = true'))
        queue_only(site, [worse, better])
        with run_node(site):
            wait_until(lambda: settled(site, 2), 90)
        told = verdicts(site)
        assert told["2.25.2"] == "scored"
        assert not told["2.25.1"].startswith("not_selected")
