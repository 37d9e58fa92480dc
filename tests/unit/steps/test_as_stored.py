"""A hand has one score, however it lies on the plate, is framed and is stored.

Files go through the pipeline that both ``ra-daemon score`` and the worker run, with the bundles
that ship.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from ra_daemon.config import Config, Route
from ra_daemon.dicom import capture, read
from ra_daemon.domain import Outcome, Refused, Scored
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.pipeline import Pipeline
from ra_engine.types import Heatmap, Interval, Measurement, QualityFlag, Radiograph, Side
from ra_training.phantom import Sample, generate
from ra_training.phantom.dicom import write_dicom
from tests.support.frames import framed

Change = Callable[[Sample, Dataset], None]
HEAD, GAP = 96, 6
"""Rows above the two panels of a capture, columns between them."""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(Config(), progress=lambda _stage, _blame: None)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    both = generate(3, 4711, hands="both", prior="flat")
    return [*both, *generate(3, 4712, hands="mixed", prior="clinic")]


def written(folder: Path, samples: Sequence[Sample], change: Change | None = None) -> list[Path]:
    """A file of each sample, changed."""
    paths = []
    for number, sample in enumerate(samples):
        paths.append(folder / f"{number}.dcm")
        write_dicom(sample, paths[-1])
        if change is not None:
            ds = dcmread(paths[-1])
            change(sample, ds)
            ds.save_as(paths[-1])
    return paths


def stored(ds: Dataset, pixels: NDArray[np.uint16]) -> None:
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.ascontiguousarray(pixels).astype("<u2").tobytes()


def judged(pipeline: Pipeline, paths: Sequence[Path]) -> list[Outcome]:
    """In one batch."""
    tasks = [
        ScoreTask(job_id=n, path=str(p), header=read.read_header(p), route=Route(name="all"))
        for n, p in enumerate(paths)
    ]
    outcomes = dict(pipeline.run(tasks))
    return [outcomes[n] for n in range(len(paths))]


def scored(pipeline: Pipeline, paths: Sequence[Path]) -> list[Scored]:
    outcomes = judged(pipeline, paths)
    assert all(isinstance(o, Scored) for o in outcomes), outcomes
    return [o for o in outcomes if isinstance(o, Scored)]


def value(outcome: Scored, kind: str = "") -> tuple[float, Interval]:
    """The image's score: the total, or the only hand's; or that of a kind."""
    found = [f for f in outcome.findings if isinstance(f, Measurement) and f.interval is not None]
    chosen = [f for f in found if f.kind == (kind or "svdh_total")] or found
    assert chosen[0].interval is not None
    return chosen[0].value, chosen[0].interval


@pytest.fixture(scope="module")
def plain(
    pipeline: Pipeline, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> list[Scored]:
    return scored(pipeline, written(tmp_path_factory.mktemp("plain"), samples))


@pytest.mark.parametrize("white", [True, False])
@pytest.mark.parametrize("share", [0.05, 0.12])
def test_a_frame_moves_the_score_by_less_than_half_its_interval(
    pipeline: Pipeline, samples: list[Sample], plain: list[Scored], tmp_path: Path, share: float,
    white: bool,
) -> None:  # fmt: skip
    def change(sample: Sample, ds: Dataset) -> None:
        stored(ds, framed(sample.exposure, share, white=white))

    for before, after in zip(
        plain, scored(pipeline, written(tmp_path, samples, change)), strict=True
    ):
        was, limits = value(before)
        assert abs(value(after)[0] - was) < (limits.high - limits.low) / 2


def test_a_white_frame_leaves_every_landmark_in_its_place(
    pipeline: Pipeline, samples: list[Sample], plain: list[Scored], tmp_path: Path
) -> None:
    def change(sample: Sample, ds: Dataset) -> None:
        stored(ds, framed(sample.exposure, 0.12, white=True))

    after = scored(pipeline, written(tmp_path, samples, change))
    for sample, one, other in zip(samples, plain, after, strict=True):
        width = round(0.12 * max(sample.exposure.pixels.shape))
        for view, moved in zip(one.views, other.views, strict=True):
            assert np.abs(moved.landmarks - width - view.landmarks).max() < 6


def test_a_rescale_slope_of_a_thousandth_gives_the_score_of_slope_one(
    pipeline: Pipeline, samples: list[Sample], plain: list[Scored], tmp_path: Path
) -> None:
    """Within 0.05 units of the score: grey values are rounded to one part in 65535."""

    def change(_: Sample, ds: Dataset) -> None:
        ds.RescaleSlope = "0.001"

    after = scored(pipeline, written(tmp_path, samples, change))
    for one, other in zip(plain, after, strict=True):
        assert value(other)[0] == pytest.approx(value(one)[0], abs=0.05)


def back(points: NDArray[np.float32], turn: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Points of an image that was turned counter-clockwise by quarters -> of the image before.

    Args:
        shape: (rows, columns) of the image before.
    """
    rows, columns = shape
    x, y = points[:, 0], points[:, 1]
    places = {
        1: (columns - 1 - y, x),
        2: (columns - 1 - x, rows - 1 - y),
        3: (y, rows - 1 - x),
    }
    return np.stack(places[turn], axis=1)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_image_has_the_same_score_in_the_places_of_the_stored_image(
    pipeline: Pipeline, samples: list[Sample], plain: list[Scored], tmp_path: Path, turn: int
) -> None:
    def change(sample: Sample, ds: Dataset) -> None:
        stored(ds, np.rot90(sample.exposure.pixels, turn))

    paths = written(tmp_path, samples, change)
    for sample, before, after, path in zip(
        samples, plain, scored(pipeline, paths), paths, strict=True
    ):
        was, limits = value(before)
        assert abs(value(after)[0] - was) < 0.1 * (limits.high - limits.low) / 2
        shape = sample.exposure.pixels.shape
        moved = [back(v.landmarks, turn, (shape[0], shape[1])) for v in after.views]
        for view in before.views:
            assert min(np.abs(points - view.landmarks).max() for points in moved) < 3
        check_sides(before, after, turn)
        check_capture(before, after, sample, path, turn)


def check_sides(before: Scored, after: Scored, turn: int) -> None:
    """'Image left' is a place of the stored image; one above the other is no side at all."""
    kinds = {f.kind for f in after.findings if isinstance(f, Measurement)}
    flags = {f.code for f in after.findings if isinstance(f, QualityFlag)}
    if len(after.views) == 1:
        assert after.views[0].side is before.views[0].side, "the tag's"
        assert "sides_unnamed" not in flags
    elif turn == 2:
        assert [v.side for v in after.views] == [Side.IMAGE_LEFT, Side.IMAGE_RIGHT]
        left, right = value(before, "svdh_image_left")[0], value(before, "svdh_image_right")[0]
        assert value(after, "svdh_image_left")[0] == pytest.approx(right, abs=0.5)
        assert value(after, "svdh_image_right")[0] == pytest.approx(left, abs=0.5)
    else:
        assert {v.side for v in after.views} == {Side.UNKNOWN}
        assert after.views[0].landmarks[0, 1] < after.views[1].landmarks[0, 1]
        assert kinds == {"svdh_total", "svdh_member"}
        assert "sides_unnamed" in flags
        assert after.laterality_source == "none"


def check_capture(before: Scored, after: Scored, sample: Sample, path: Path, turn: int) -> None:
    """The picture shows the stored image, and the map lies on the same joints."""
    pixels = sample.exposure.pixels
    inverted = sample.exposure.photometric == "MONOCHROME1"
    upright = Radiograph(pixels=pixels, inverted=inverted, window=sample.exposure.window)
    turned = read.decode(path)
    assert not isinstance(turned, Refused)
    one, other = lit(upright, before), lit(turned, after)
    assert other.shape == np.rot90(pixels, turn).shape
    same = np.rot90(one, turn)
    if same.any() or other.any():
        assert (same & other).sum() > 0.85 * (same | other).sum()


def lit(radiograph: Radiograph, outcome: Scored) -> NDArray[np.bool_]:
    """Where the overlay of a capture differs from the plain image."""
    assert any(isinstance(f, Heatmap) for f in outcome.findings)
    rows, columns = radiograph.pixels.shape
    picture = capture.draw(radiograph, outcome, demonstration=True)[HEAD : HEAD + rows]
    plain, overlay = picture[:, :columns], picture[:, columns + GAP : 2 * columns + GAP]
    different: NDArray[np.bool_] = (plain != overlay).any(2)
    return different
