"""A lead letter from the file to the report: it gives a side, or leaves the total alone.

Files go through the pipeline that both ``ra-daemon score`` and the worker run, with the bundles
that ship.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from ra_daemon.config import Config, Route
from ra_daemon.dicom import read
from ra_daemon.dicom.report import compose_report
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.domain import Scored
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.pipeline import Pipeline
from ra_engine.types import Measurement, QualityFlag, Side
from ra_training.phantom import Sample, generate
from ra_training.phantom.dicom import write_dicom
from ra_training.phantom.film import draw_tube
from ra_training.phantom.streams import stream
from tests.support.documents import Group, groups_of

WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(Config(), progress=lambda _stage, _blame: None)


@pytest.fixture(scope="module")
def left() -> Sample:
    """A left hand with an L beside it."""
    for sample in generate(8, 4713, hands="left", prior="clinic"):
        own = int(stream(sample.subject_seed, "shot", 0, 0).integers(2**31))
        if draw_tube(own, sample.exposure.pixels.shape[0]).marker:
            return sample
    pytest.fail("no generated hand with a letter")


def sided(
    pipeline: Pipeline, sample: Sample, path: Path, **tags: str
) -> tuple[Scored, list[Group]]:
    """The verdict and the report of a sample whose only laterality tags are those given."""
    write_dicom(sample, path)
    ds = dcmread(path)
    for keyword in ("ImageLaterality", "Laterality"):
        setattr(ds, keyword, "")
    for keyword, said in tags.items():
        setattr(ds, keyword, said)
    ds.save_as(path)
    route = Route(name="all")
    task = ScoreTask(job_id=1, path=str(path), header=read.read_header(path), route=route)
    ((_, found),) = pipeline.run([task])
    assert isinstance(found, Scored), found
    return found, groups_of(
        compose_report(
            ReportInput(
                sources=(path,),
                source_digests=("aa",),
                created_at=WHEN,
                pipeline_digest="pp",
                scored=found,
            )
        )
    )


def test_a_lead_letter_gives_the_side_that_no_tag_does(
    pipeline: Pipeline, left: Sample, tmp_path: Path
) -> None:
    found, groups = sided(pipeline, left, tmp_path / "a.dcm")
    assert (found.laterality, found.laterality_source, found.hands) == (
        Side.LEFT, "marker", "left",
    )  # fmt: skip
    assert [(v.side, v.side_source) for v in found.views] == [(Side.LEFT, "marker")]
    kinds = {f.kind for f in found.findings if isinstance(f, Measurement)}
    assert kinds == {"svdh_left", "svdh_member"}
    assert groups[0].laterality == "Left"
    assert "Lead letter on the image" in groups[0].coded


@pytest.mark.parametrize(
    "tags", [{"ImageLaterality": "R"}, {"Laterality": "R"}, {"SeriesDescription": "Hand rechts"}]
)
def test_a_lead_letter_that_contradicts_the_header_leaves_no_side(
    pipeline: Pipeline, left: Sample, tmp_path: Path, tags: dict[str, str]
) -> None:
    found, groups = sided(pipeline, left, tmp_path / "a.dcm", **tags)
    assert (found.laterality, found.laterality_source, found.hands) == (
        Side.UNKNOWN, "none", "unknown",
    )  # fmt: skip
    kinds = {f.kind for f in found.findings if isinstance(f, Measurement)}
    assert kinds == {"svdh_hand", "svdh_member"}
    assert "laterality_conflict" in {f.code for f in found.findings if isinstance(f, QualityFlag)}
    assert groups[0].laterality == ""
    assert "Disputed by tags and image" in groups[0].coded


def test_a_tag_that_the_letter_confirms_stays_the_source(
    pipeline: Pipeline, left: Sample, tmp_path: Path
) -> None:
    found, _ = sided(pipeline, left, tmp_path / "a.dcm", Laterality="L")
    assert (found.laterality, found.laterality_source) == (Side.LEFT, "Laterality")
    assert not [f for f in found.findings if isinstance(f, QualityFlag)]
