"""Gate: may this image be scored? First by its tags, then by its pixels.

A refusal is data with a code. Tags are often wrong, so they refuse only what they state plainly;
whatever they leave open is for the pixels to decide. Pixels never overrule a plain refusal.
"""

from __future__ import annotations

import math

import numpy as np

from ra_daemon.config import Route
from ra_daemon.domain import Header, Reason, Refused
from ra_engine.types import HandView, Located, Radiograph, Side

GATE_VERSION = "1"
"""Part of the pipeline digest: raise it when a rule or a threshold here changes."""

CR = "1.2.840.10008.5.1.4.1.1.1"
DX_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.7.2",
        "1.2.840.10008.5.1.4.1.1.7.3",
    }
)

OTHER_BODY_PARTS = frozenset(
    (
        "ABDOMEN",
        "ANKLE",
        "BREAST",
        "CALCANEUS",
        "CHEST",
        "CLAVICLE",
        "COCCYX",
        "CSPINE",
        "ELBOW",
        "FEMUR",
        "FOOT",
        "HEAD",
        "HEART",
        "HIP",
        "HUMERUS",
        "JAW",
        "KNEE",
        "LEG",
        "LSPINE",
        "LUNG",
        "MANDIBLE",
        "MAXILLA",
        "NECK",
        "NOSE",
        "ORBIT",
        "PATELLA",
        "PELVIS",
        "RIB",
        "RIBS",
        "SACRUM",
        "SCAPULA",
        "SHOULDER",
        "SKULL",
        "SPINE",
        "STERNUM",
        "TIBIA",
        "TOE",
        "TSPINE",
    )
)
WRONG_VIEWS = frozenset(["LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "OBLIQUE"])

MIN_SIDE_PX = 160
MIN_HAND_PX = 40.0  # wrist to third MCP; below it a joint space is under a pixel
HAND_PROBABILITY = 0.5
OPEN_PHYSES_PROBABILITY = 0.9
OUT_OF_DISTRIBUTION = 1.0
MAX_HANDS = 2
MARGIN = 0.02  # of the image's longer side: fingertips may touch the collimated edge


def judge_header(header: Header, route: Route) -> Refused | None:
    """Refuse what the tags plainly rule out; None leaves the verdict to the pixels."""
    for rule in (_object, _exposure, _patient, _size):
        refused = rule(header, route)
        if refused is not None:
            return refused
    return None


def judge_pixels(radiograph: Radiograph, located: Located) -> Refused | None:
    """Refuse what the pixels rule out; ``located`` is the locator's word on them."""
    hands = located.hands
    if len(hands) > MAX_HANDS:
        return Refused(reason=Reason.TOO_MANY_HANDS, detail=f"{len(hands)} hands found.")
    kind = max(located.probabilities, key=lambda name: located.probabilities[name])
    if not hands or located.probabilities.get("hand", 0.0) < HAND_PROBABILITY:
        reason = {"wrist_only": Reason.WRIST_ONLY, "partial_hand": Reason.CROPPED}
        return Refused(reason=reason.get(kind, Reason.NOT_A_HAND))
    for view in hands:
        refused = _judge_view(view, radiograph)
        if refused is not None:
            return refused
    if located.open_physes > OPEN_PHYSES_PROBABILITY:
        return Refused(reason=Reason.OPEN_PHYSES)
    if not math.isfinite(located.distance) or located.distance > OUT_OF_DISTRIBUTION:
        detail = f"Distance {located.distance:.2f}, limit {OUT_OF_DISTRIBUTION:g}."
        return Refused(reason=Reason.OUT_OF_DISTRIBUTION, detail=detail)
    return None


def laterality(radiograph: Radiograph, located: Located) -> tuple[Side, str, bool]:
    """Side of a one-hand image, its source, and whether tags and pixels conflict.

    A tag of one side on an image of two hands is a conflict: only the total is then given.
    """
    if len(located.hands) == 1:
        return radiograph.side, radiograph.side_source or "none", False
    return Side.UNKNOWN, "position", radiograph.side is not Side.UNKNOWN


def _object(header: Header, route: Route) -> Refused | None:
    if header.manufacturer.lower() == "ra-daemon project" or "GRADCAM" in header.image_type:
        return Refused(reason=Reason.OWN_OUTPUT)
    uid = header.sop_class_uid
    if uid in SECONDARY_CAPTURES:
        if not route.secondary_capture:
            return Refused(reason=Reason.FOR_PROCESSING, detail="Secondary capture.")
        return None
    if uid not in (CR, DX_PRESENTATION, DX_PROCESSING):
        return Refused(reason=Reason.UNSUPPORTED_SOP_CLASS, detail=f"SOP class {uid}.")
    if header.image_type and header.image_type[0].upper() == "DERIVED":
        return Refused(reason=Reason.DERIVED)
    for_processing = uid == DX_PROCESSING or header.presentation_intent == "FOR PROCESSING"
    if for_processing and not route.for_processing:
        return Refused(reason=Reason.FOR_PROCESSING)
    return None


def _exposure(header: Header, route: Route) -> Refused | None:
    if header.photometric and not header.photometric.startswith("MONOCHROME"):
        detail = f"Photometric interpretation {header.photometric}."
        return Refused(reason=Reason.UNSUPPORTED_PHOTOMETRY, detail=detail)
    if header.body_part.upper().replace(" ", "") in OTHER_BODY_PARTS:
        return Refused(reason=Reason.NOT_A_HAND, detail="By Body Part Examined.")
    if header.view_position.upper() in WRONG_VIEWS:
        return Refused(reason=Reason.WRONG_VIEW, detail="By View Position.")
    if header.burned_in_annotation.upper() == "YES":
        return Refused(reason=Reason.BURNED_IN, detail="By Burned In Annotation.")
    return None


def _patient(header: Header, route: Route) -> Refused | None:
    age = header.patient_age_years
    if age is not None and age < route.min_age:
        return Refused(reason=Reason.UNDER_AGE, detail=f"The route takes {route.min_age:g} and up.")
    return None


def _size(header: Header, route: Route) -> Refused | None:
    if min(header.rows, header.columns) < MIN_SIDE_PX:
        detail = f"{header.rows} x {header.columns}, at least {MIN_SIDE_PX} are needed."
        return Refused(reason=Reason.TOO_SMALL, detail=detail)
    return None


def _judge_view(view: HandView, radiograph: Radiograph) -> Refused | None:
    rows, columns = radiograph.pixels.shape
    margin = MARGIN * max(rows, columns)
    points = view.landmarks
    outside = (
        (points[:, 0] < -margin)
        | (points[:, 0] > columns - 1 + margin)
        | (points[:, 1] < -margin)
        | (points[:, 1] > rows - 1 + margin)
    )
    if bool(outside.any()):
        return Refused(reason=Reason.CROPPED, detail=f"{int(outside.sum())} of 21 landmarks.")
    length = float(np.hypot(*(points[10] - points[0])))
    if length < MIN_HAND_PX:
        detail = f"{length:.0f} px from wrist to knuckle, at least {MIN_HAND_PX:g} are needed."
        return Refused(reason=Reason.TOO_SMALL, detail=detail)
    return None
