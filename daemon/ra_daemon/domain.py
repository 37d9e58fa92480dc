"""Values that travel between the steps: frozen, keyword-only; reasons as enums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Literal

from ra_engine.types import Finding, HandView, Side


class Reason(StrEnum):
    """Why an image was not scored. The value is the public code (``v1_refusals.reason_code``)."""

    NOT_A_HAND = "not_a_hand"
    WRIST_ONLY = "wrist_only"
    WRONG_VIEW = "wrong_view"
    CROPPED = "cropped"
    TOO_MANY_HANDS = "too_many_hands"
    HANDS_NOT_SCORED = "hands_not_scored"
    OPEN_PHYSES = "open_physes"
    UNDER_AGE = "under_age"
    CAST = "cast"
    PROSTHESIS = "prosthesis"
    BURNED_IN = "burned_in"
    TOO_SMALL = "too_small"
    UNREADABLE = "unreadable"
    UNSUPPORTED_PHOTOMETRY = "unsupported_photometry"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    UNSUPPORTED_SOP_CLASS = "unsupported_sop_class"
    FOR_PROCESSING = "for_processing"
    DERIVED = "derived"
    OWN_OUTPUT = "own_output"
    NO_ROUTE = "no_route"
    NOT_SELECTED = "not_selected"


REASON_TEXT: Mapping[Reason, str] = {
    Reason.NOT_A_HAND: "The image does not show a hand.",
    Reason.WRIST_ONLY: "Only the wrist is shown; the score needs the whole hand.",
    Reason.WRONG_VIEW: "Not a postero-anterior or antero-posterior view.",
    Reason.CROPPED: "Part of the hand lies outside the image.",
    Reason.TOO_MANY_HANDS: "More than two hands on one image.",
    Reason.HANDS_NOT_SCORED: "The model does not score images with this number of hands.",
    Reason.OPEN_PHYSES: "Open growth plates: the score is defined for adults.",
    Reason.UNDER_AGE: "Patient younger than 18 years at the study.",
    Reason.CAST: "A cast or splint covers the hand.",
    Reason.PROSTHESIS: "A joint prosthesis or osteosynthesis is present.",
    Reason.BURNED_IN: "Drawings or text are burned into the image.",
    Reason.TOO_SMALL: "Too few pixels across the hand.",
    Reason.UNREADABLE: "The object cannot be read as a DICOM image.",
    Reason.UNSUPPORTED_PHOTOMETRY: "Not a grey-scale image.",
    Reason.OUT_OF_DISTRIBUTION: "The image is unlike those that the model was made for.",
    Reason.UNSUPPORTED_SOP_CLASS: "This kind of DICOM object is not scored.",
    Reason.FOR_PROCESSING: "Image for processing or digitised film; no route allows it.",
    Reason.DERIVED: "A derived image, not the original exposure.",
    Reason.OWN_OUTPUT: "One of our own results came back.",
    Reason.NO_ROUTE: "No route takes this image.",
    Reason.NOT_SELECTED: "Another object of the same exposure is scored.",
}


class Lane(IntEnum):
    """Order of service: lower goes first."""

    STAT = 0
    NORMAL = 1
    OFF_HOURS = 2
    SHADOW = 3  # beside the active model, after everything else; never reported


class JobState(StrEnum):
    """Life of a job."""

    QUEUED = "queued"
    LEASED = "leased"
    SCORED = "scored"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """Life of one object on its way to one destination."""

    HELD = "held"
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    COMMITTED = "committed"
    PARKED = "parked"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An image that is not scored, and why."""

    reason: Reason
    detail: str = ""

    @property
    def text(self) -> str:
        """The reason in words, with its detail."""
        return f"{REASON_TEXT[self.reason]} {self.detail}".strip()


def not_selected(selected_uid: str) -> Refused:
    """The refusal that names the object that is scored in its place."""
    return Refused(reason=Reason.NOT_SELECTED, detail=f"SOP instance {selected_uid}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who sent an object, as negotiated: AE titles and network address."""

    calling_ae: str = ""
    called_ae: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What admission keeps of an instance. Strings as decoded, "" when absent or malformed."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str = ""
    patient_age_years: float | None = None
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    body_part: str = ""
    view_position: str = ""
    laterality: str = ""
    image_type: tuple[str, ...] = ()
    modality: str = ""
    photometric: str = ""
    manufacturer: str = ""
    rows: int = 0
    columns: int = 0
    burned_in_annotation: str = ""
    presentation_intent: str = ""
    transfer_syntax_uid: str = ""
    acquisition_date: str = ""
    acquisition_time: str = ""
    acquisition_number: str = ""
    irradiation_event_uid: str = ""
    protocol_name: str = ""
    image_comments: str = ""
    conversion_type: str = ""
    view_codes: tuple[str, ...] = ()
    region_codes: tuple[str, ...] = ()
    made_from_others: bool = False


Found = Literal["nothing", "whole", "damaged"]
"""What lies among the objects under the name of a file that comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """One received file, digested.

    Attributes:
        dataset_sha256: of the encoded data set (not the file meta).
        pixel_sha256: of the encoded pixel data, "" when there is none.
        path: relative to the store's root.
        header: None when the file cannot be parsed.
        found: what lay there when it came.
    """

    dataset_sha256: str
    pixel_sha256: str
    path: str
    size: int
    received_at: datetime
    origin: Origin
    header: Header | None
    refused: Refused | None = None
    found: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased job. ``token`` fences completion: only its holder may settle the job."""

    job_id: int
    instance_id: int
    token: str
    attempt: int
    lane: Lane
    lease_until: datetime
    path: str
    dataset_sha256: str
    origin: Origin
    header: Header
    route: str = ""
    pipeline_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Findings of one image, the hand views they refer to, and timings in seconds by step."""

    views: tuple[HandView, ...]
    findings: tuple[Finding, ...]
    laterality: Side
    laterality_source: str
    hands: str  # "both", "left", "right" or "unknown"
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job that could not be done. ``blame`` names the plugin, library or step at fault."""

    code: str
    message: str
    retriable: bool
    blame: str = ""


Outcome = Scored | Refused | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """One DICOM object of ours, on disk, composed once.

    ``kind`` is ``sr``, ``capture`` or ``refusal``; ``path`` relative to the store's root.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One object due at one destination."""

    delivery_id: int
    object_path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    destination: str
    attempt: int
    demonstration: bool
    was_sending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The peer answered success (or a warning, told in ``status``)."""

    status: int
    already_there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A transient failure: try again later. ``unanswered``: it went out, the peer may have it."""

    cause: str
    unanswered: bool = False


OBJECT_FILE = "object file: "
"""How the cause of a delivery begins that was parked because its object cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A permanent refusal: a person must look."""

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReport:
    """What a peer with ``ae_title`` says about the objects of one transaction.

    ``committed`` are SOP instance UIDs, ``failed`` such UIDs with their failure reason.
    """

    transaction_uid: str
    ae_title: str
    committed: tuple[str, ...] = ()
    failed: tuple[tuple[str, int], ...] = ()


DeliveryOutcome = Delivered | Postponed | Parked
