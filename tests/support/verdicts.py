"""Small made-up admissions, findings and verdicts for tests of the store and of cohorts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa

from ra_daemon.domain import Admission, Claim, Header, Lane, Origin, Refused, Scored
from ra_daemon.store import instances, results
from ra_daemon.store.queue import JobQueue
from ra_engine.types import (
    Category,
    Finding,
    HandView,
    Heatmap,
    Interval,
    Measurement,
    ModelRef,
    QualityFlag,
    Side,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ALL_LANES = (Lane.STAT, Lane.NORMAL, Lane.OFF_HOURS)
MODEL = ModelRef(
    bundle="demo",
    version="1.0",
    digest="b" * 64,
    engine="onnxruntime-1-cpu",
    precision="fp32",
    preprocessing="c" * 64,
    intended_use="demonstration",
)
CODE = ("SVDH_TOTAL", "99RADAEMON", "Estimated total")


def header(uid: str = "1.2.3", **fields: object) -> Header:
    """A header with the identity of a made-up image."""
    base = Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        sop_instance_uid=uid,
        study_instance_uid="1.2",
        series_instance_uid="1.2.1",
        patient_id="P1",
        accession_number="A1",
        study_date="20260301",
        image_type=("ORIGINAL", "PRIMARY"),
    )
    return replace(base, **fields)  # type: ignore[arg-type]  # test shorthand


def admission(
    uid: str = "1.2.3",
    *,
    content: str = "one",
    pixels: str = "pixels",
    refused: Refused | None = None,
    parsable: bool = True,
    **fields: object,
) -> Admission:
    """A received file; ``content`` and ``pixels`` decide its digests."""
    digest = hashlib.sha256(f"{uid}{content}".encode()).hexdigest()
    return Admission(
        dataset_sha256=digest,
        pixel_sha256=hashlib.sha256(pixels.encode()).hexdigest() if pixels else "",
        path=f"objects/{digest[:2]}/{digest}.dcm",
        size=1000,
        received_at=NOW,
        origin=Origin(calling_ae="CR1", called_ae="RA", address="127.0.0.1"),
        header=header(uid, **fields) if parsable else None,
        refused=refused,
        found="whole",
    )


def total(
    value: float = 42.0, half: float = 10.0, kind: str = "svdh_total", **fields: object
) -> Measurement:
    """A score with a symmetric interval."""
    made = Measurement(
        kind=kind,
        label="Estimated SvdH total",
        value=value,
        units="{score}",
        code=CODE,
        model=MODEL,
        interval=Interval(low=value - half, high=value + half),
        scale_max=280.0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # test shorthand


def band(index: int = 2) -> Category:
    """A severity band of five."""
    return Category(
        kind="severity",
        label="severity",
        index=index,
        edges=(0.0, 10.0, 40.0, 90.0),
        probabilities=(0.1, 0.6, 0.1, 0.1, 0.1),
        reference="made up",
        code=CODE,
        model=MODEL,
    )


def view(index: int = 0, side: Side = Side.IMAGE_LEFT) -> HandView:
    """A hand view with made-up landmarks."""
    landmarks = (np.arange(42) / 3 + index).reshape(21, 2).astype(np.float32)
    return HandView(
        index=index,
        side=side,
        side_source="position",
        to_image=(1.0, 0.1, 2.0, -0.1, 1.0, 3.0),
        mirrored=bool(index),
        landmarks=landmarks,
        confidence=0.9,
    )


def scored(*extra: Finding, value: float = 42.0, half: float = 10.0, hands: str = "both") -> Scored:
    """A verdict: two hands with a total, or one hand with its own score."""
    if hands == "both":
        views: tuple[HandView, ...] = (view(0), view(1, Side.IMAGE_RIGHT))
        main = total(value, half)
    else:
        views = (view(0, Side(hands)),)
        main = total(value, half, kind=f"svdh_{hands}", view=0, side=Side(hands), scale_max=140.0)
    return Scored(
        views=views,
        findings=(main, *extra),
        laterality=Side.UNKNOWN if hands == "both" else Side(hands),
        laterality_source="position" if hands == "both" else "Laterality",
        hands=hands,
        timings={"score": 0.25},
    )


def full() -> Scored:
    """A verdict with a finding of every kind."""
    cam = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    heat = Heatmap(
        cam=cam, threshold=0.1, full_scale=2.0, score_kind="svdh_total", model=MODEL, view=1
    )
    member = total(41.0, kind="svdh_member", label="resnet18", interval=None, spread=1.5)
    hand = total(20.0, kind="svdh_hand", view=1, side=Side.IMAGE_RIGHT)
    flag = QualityFlag(code="low_contrast", text="Low contrast.", view=0)
    return scored(member, hand, band(), flag, heat)


def admit(engine: sa.Engine, made: Admission, route: str = "all") -> int:
    """Admit in a transaction of its own; the instance's id."""
    with engine.begin() as conn:
        return instances.admit(conn, made, route=route).instance_id


def enqueue(
    engine: sa.Engine,
    queue: JobQueue,
    count: int = 1,
    *,
    lane: Lane = Lane.NORMAL,
    pipeline: str = "p" * 64,
    first: int = 0,
) -> list[int]:
    """Admit ``count`` images and queue each; the jobs' ids."""
    ids = []
    with engine.begin() as conn:
        for number in range(first, first + count):
            made = admission(f"1.2.3.{number}")
            instance_id = instances.admit(conn, made).instance_id
            job_id = queue.enqueue(conn, instance_id, pipeline, lane, "all")
            assert job_id is not None
            ids.append(job_id)
    return ids


def claim_one(queue: JobQueue, owner: str = "w", lease_s: float = 60.0) -> Claim:
    """Claim the next job."""
    (claim,) = queue.claim(owner, 1, lease_s, ALL_LANES, None)
    return claim


def record(
    engine: sa.Engine,
    queue: JobQueue,
    made: Admission,
    outcome: Scored | Refused,
    *,
    pipeline: str = "p" * 64,
    destinations: Sequence[str] = ("PACS",),
    deliver: results.Deliver = "send",
    heatmap_path: str | None = None,
    refusal_report: bool = False,
    role: results.Role = "active",
) -> Claim:
    """Admit an image, queue it, claim it and record ``outcome``."""
    with engine.begin() as conn:
        instance_id = instances.admit(conn, made, route="all").instance_id
        queue.enqueue(conn, instance_id, pipeline, Lane.STAT, "all")
    claim = claim_one(queue)
    assert claim.instance_id == instance_id
    results.record(
        engine,
        queue,
        claim,
        outcome,
        pipeline_digest=pipeline,
        heatmap_path=heatmap_path,
        destinations=destinations,
        deliver=deliver,
        refusal_report=refusal_report,
        role=role,
    )
    return claim
