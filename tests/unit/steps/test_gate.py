"""The gate by tags, and by pixels on generated and real images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ra_daemon.config import Config, Route
from ra_daemon.dicom import read
from ra_daemon.domain import Header, Reason, Refused
from ra_daemon.steps import gate
from ra_daemon.steps.score import Models
from ra_engine.types import Radiograph
from ra_training.phantom import Exposure, generate, render_nonhand
from tests.support.paths import shared_data

ROUTE = Route(name="all")
HAND = Header(
    sop_class_uid=gate.DX_PRESENTATION, sop_instance_uid="1.2", study_instance_uid="1.3",
    series_instance_uid="1.4", body_part="HAND", view_position="PA", patient_age_years=55,
    image_type=("ORIGINAL", "PRIMARY"), photometric="MONOCHROME2", rows=640, columns=800,
)  # fmt: skip


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load(Config())


def judged(models: Models, radiograph: Radiograph) -> Reason | None:
    """By pixels alone: every tag is stripped."""
    refused = gate.judge_pixels(radiograph, models.locate(radiograph))
    return None if refused is None else refused.reason


def of(exposure: Exposure) -> Radiograph:
    return Radiograph(pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1")


def of_picture(grey: NDArray[np.uint8], side: int | None = None) -> Radiograph:
    if side is not None:
        grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC)
    return Radiograph(pixels=grey.astype(np.uint16) * 16)


def test_a_plain_hand_passes() -> None:
    assert gate.judge_header(HAND, ROUTE) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"manufacturer": "ra-daemon project"}, Reason.OWN_OUTPUT),
        ({"image_type": ("DERIVED", "SECONDARY", "", "GRADCAM")}, Reason.OWN_OUTPUT),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, Reason.UNSUPPORTED_SOP_CLASS),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, Reason.FOR_PROCESSING),
        ({"sop_class_uid": gate.DX_PROCESSING}, Reason.FOR_PROCESSING),
        ({"presentation_intent": "FOR PROCESSING"}, Reason.FOR_PROCESSING),
        ({"image_type": ("DERIVED", "PRIMARY")}, Reason.DERIVED),
        ({"photometric": "RGB"}, Reason.UNSUPPORTED_PHOTOMETRY),
        ({"body_part": "CHEST"}, Reason.NOT_A_HAND),
        ({"view_position": "LATERAL"}, Reason.WRONG_VIEW),
        ({"burned_in_annotation": "YES"}, Reason.BURNED_IN),
        ({"patient_age_years": 12.0}, Reason.UNDER_AGE),
        ({"rows": 64}, Reason.TOO_SMALL),
    ],
)
def test_tags_that_rule_an_image_out(change: dict[str, object], reason: Reason) -> None:
    refused = gate.judge_header(replace(HAND, **change), ROUTE)  # type: ignore[arg-type]
    assert isinstance(refused, Refused)
    assert refused.reason is reason


def test_a_route_may_take_film_and_processing() -> None:
    route = Route(name="film", secondary_capture=True, for_processing=True)
    film = replace(
        HAND,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        image_type=("DERIVED", "SECONDARY"),
    )
    assert gate.judge_header(film, route) is None
    assert gate.judge_header(replace(HAND, sop_class_uid=gate.DX_PROCESSING), route) is None


def test_generated_hands_are_accepted(models: Models) -> None:
    verdicts = Counter(
        judged(models, of(s.exposure))
        for prior in ("clinic", "flat")
        for s in generate(50, 4711, hands="mixed", prior=prior)  # type: ignore[arg-type]
    )
    assert verdicts[None] >= 98, verdicts


def test_generated_others_are_refused_as_what_they_are(models: Models) -> None:
    wanted = {
        "wrist": {Reason.WRIST_ONLY},
        "fingers": {Reason.CROPPED},
        "foot": {Reason.NOT_A_HAND},
        "empty": {Reason.NOT_A_HAND},
        "long_bone": {Reason.NOT_A_HAND},
    }
    for kind, reasons in wanted.items():
        verdicts = Counter(judged(models, of(render_nonhand(kind, i + 31))) for i in range(8))
        assert set(verdicts) <= reasons, (kind, verdicts)


def test_open_growth_plates_are_refused(models: Models) -> None:
    children = generate(20, 77, hands="both", child_fraction=1.0)
    verdicts = Counter(judged(models, of(s.exposure)) for s in children if s.age < 12)
    assert verdicts[None] <= 1, verdicts


def test_real_organs_are_refused(models: Models) -> None:
    folder = shared_data("mednist64")
    for organ in ("CXR", "HeadCT", "AbdomenCT", "ChestCT", "BreastMRI"):
        files = sorted((folder / organ).glob("*.jpeg"))
        assert files
        grey = (np.asarray(Image.open(f).convert("L")) for f in files)
        accepted = sum(judged(models, of_picture(g, 512)) is None for g in grey)
        assert accepted <= 0.05 * len(files), (organ, accepted)


def test_real_wrists_are_refused(models: Models) -> None:
    files = sorted(shared_data("ram_w600_wrist").glob("*.bmp"))
    assert files
    grey = (np.asarray(Image.open(f).convert("L")) for f in files)
    verdicts = Counter(judged(models, of_picture(g)) for g in grey)
    assert verdicts[None] == 0, verdicts
    assert verdicts[Reason.WRIST_ONLY] >= len(files) // 2, verdicts


def test_real_radiographs_of_other_parts_are_refused(models: Models) -> None:
    files = sorted(shared_data("dicom_cr_dx").glob("*.dcm"))
    assert len(files) >= 6
    for path in files:
        decoded = read.decode(Path(path))
        assert isinstance(decoded, Radiograph)
        assert judged(models, decoded) is not None, path.name
