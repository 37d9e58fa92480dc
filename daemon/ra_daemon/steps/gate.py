"""Gate: may this image be scored? First by its tags, then by its pixels.

A refusal is data with a code. Tags are often wrong, so they refuse only what they state plainly;
whatever they leave open is for the pixels to decide. Pixels never overrule a plain refusal.
"""

from __future__ import annotations

import math

import numpy as np

from ra_daemon.config import Gate, Route
from ra_daemon.dicom import anatomy
from ra_daemon.dicom.sides import BOTH, CONFLICT, MARKER
from ra_daemon.domain import Header, Reason, Refused
from ra_daemon.exposures import CR, DX_PRESENTATION, DX_PROCESSING, for_processing
from ra_daemon.sop_classes import SOP_CLASSES
from ra_engine.marker import read_letter
from ra_engine.types import HandView, Located, Radiograph, Side
from ra_engine.views import side_by_side

GATE_VERSION = "6"
"""Raise it when a rule or a threshold here, or in ``ra_engine.marker``, changes."""

NO_RULES = frozenset(
    {
        *("name", "calling_ae", "calling_networks", "called_ae", "sop_classes"),
        *("description", "body_parts", "max_age"),
        *("scorers", "lane", "destinations", "deliver", "refusals"),
    }
)
"""Fields of a route that judge no image: whose images it takes, who scores them, where results go.
Any other one is an option of the gate, and a change of it is another pipeline."""

TRUE_COLOUR = "1.2.840.10008.5.1.4.1.1.7.4"
SECONDARY_CAPTURES = frozenset(SOP_CLASSES["SC"]) - {TRUE_COLOUR}  # a colour picture is never grey

MIN_SIDE_PX = 160
MIN_HAND_PX = 40.0  # wrist to third MCP; below it a joint space is under a pixel
HAND_PROBABILITY = 0.5
OPEN_PHYSES_PROBABILITY = 0.6  # of generated adults 1 in 100 lies above, at 0.5 twice as many
OUT_OF_DISTRIBUTION = 1.0
MAX_HANDS = 2
MARGIN = 0.02  # of the image's longer side: fingertips may touch the collimated edge


_BY_KIND = {
    "wrist_only": Reason.WRIST_ONLY,
    "partial_hand": Reason.CROPPED,
    "cast": Reason.CAST,
}
"""What an image is refused as that the locator takes for no whole, bare hand."""


def version(rules: Gate, route: Route) -> str:
    """The gate's part of the pipeline digest: its version, its words and the route's options."""
    options = route.model_dump_json(exclude=set(NO_RULES))
    return f"{GATE_VERSION}/{rules.model_dump_json()}/{options}"


def judge_header(header: Header, route: Route, rules: Gate) -> Refused | None:
    """Refuse what the tags plainly rule out; None leaves the verdict to the pixels."""
    for rule in (_object, _exposure, _patient, _size):
        refused = rule(header, route)
        if refused is not None:
            return refused
    return _described(header, rules)


def _described(header: Header, rules: Gate) -> Refused | None:
    """A cast or metal that a person wrote down about this image."""
    told = (
        header.series_description,
        header.protocol_name,
        header.image_comments,
        header.body_part,
    )
    text = " / ".join(told)
    for words, reason in (
        (rules.cast_words, Reason.CAST),
        (rules.prosthesis_words, Reason.PROSTHESIS),
    ):
        word = anatomy.says(text, words, rules.unless_words)
        if word:  # the configured word, never the text: that may name a patient
            return Refused(reason=reason, detail=f"By the word {word!r} in its description.")
    return None


def judge_pixels(radiograph: Radiograph, located: Located) -> Refused | None:
    """Refuse what the pixels rule out; ``located`` is the locator's word on them."""
    hands = located.hands
    if len(hands) > MAX_HANDS:
        return Refused(reason=Reason.TOO_MANY_HANDS, detail=f"{len(hands)} hands found.")
    kind = max(located.probabilities, key=lambda name: located.probabilities[name])
    if not hands or located.probabilities.get("hand", 0.0) < HAND_PROBABILITY:
        return Refused(reason=_BY_KIND.get(kind, Reason.NOT_A_HAND))
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


def judge_hands(located: Located, scored: frozenset[int]) -> Refused | None:
    """Refuse an image with a number of hands that the bundle was not made for."""
    hands = len(located.hands)
    if hands in scored:
        return None
    made_for = {frozenset({1}): "one hand", frozenset({2}): "both hands"}.get(
        scored, "other images"
    )
    found = "one hand" if hands == 1 else f"{hands} hands"
    return Refused(
        reason=Reason.HANDS_NOT_SCORED, detail=f"It shows {found}; the model is for {made_for}."
    )


def laterality(radiograph: Radiograph, located: Located) -> tuple[Side, str, bool]:
    """Side of a one-hand image, its source, and whether tags and pixels conflict.

    A tag gives the side, else a lead letter on the film. Conflicts: tags that contradict each
    other, a letter that contradicts a tag or a description, a tag of one side on an image of two
    hands, a tag of both sides on an image of one. Only the total is then given, and no side.

    Two hands are told apart by place, which names neither left nor right, so that no letter can
    contradict it: none is read. Hands that lie one above the other, as on a plate that was turned,
    are no left and right of the image either.
    """
    source = radiograph.side_source
    if len(located.hands) == 1:
        if source in (CONFLICT, BOTH):
            return Side.UNKNOWN, "none", True
        return _side_of_one(radiograph, located)
    told = "position" if side_by_side(located.hands) else "none"
    return Side.UNKNOWN, told, source not in ("", BOTH)


def _side_of_one(radiograph: Radiograph, located: Located) -> tuple[Side, str, bool]:
    """Side of an image of one hand whose tags are of one mind."""
    letter = read_letter(radiograph, located)
    if letter is None:
        return radiograph.side, radiograph.side_source or "none", False
    said = {letter.side, radiograph.side, radiograph.side_described} - {Side.UNKNOWN}
    if len(said) > 1:
        return Side.UNKNOWN, "none", True
    return letter.side, radiograph.side_source or MARKER, False


def _object(header: Header, route: Route) -> Refused | None:
    if header.manufacturer.lower() == "ra-daemon project" or "GRADCAM" in header.image_type:
        return Refused(reason=Reason.OWN_OUTPUT)
    if anatomy.MADE_BY_ANALYSIS & {v.upper() for v in header.image_type}:
        return Refused(reason=Reason.DERIVED, detail="By Image Type.")
    uid = header.sop_class_uid
    if uid in SECONDARY_CAPTURES:
        if not route.secondary_capture:
            return Refused(reason=Reason.FOR_PROCESSING, detail="Secondary capture.")
        return _capture(header)
    if uid not in (CR, DX_PRESENTATION, DX_PROCESSING):
        return Refused(reason=Reason.UNSUPPORTED_SOP_CLASS, detail=f"SOP class {uid}.")
    if header.image_type and header.image_type[0].upper() == "DERIVED":
        return Refused(reason=Reason.DERIVED)
    if for_processing(header) and not route.for_processing:
        return Refused(reason=Reason.FOR_PROCESSING)
    return None


def _capture(header: Header) -> Refused | None:
    """Of secondary captures only digitised film is an exposure; others show somebody's result."""
    if header.conversion_type.upper() in anatomy.NOT_FILM:
        detail = f"Conversion type {header.conversion_type.upper()}."
        return Refused(reason=Reason.DERIVED, detail=detail)
    if header.made_from_others:
        return Refused(reason=Reason.DERIVED, detail="It names the images that it was made from.")
    return None


def _exposure(header: Header, route: Route) -> Refused | None:
    if header.photometric and not header.photometric.startswith("MONOCHROME"):
        detail = f"Photometric interpretation {header.photometric}."
        return Refused(reason=Reason.UNSUPPORTED_PHOTOMETRY, detail=detail)
    if header.body_part.upper().replace(" ", "") in anatomy.OTHER_BODY_PARTS:
        return Refused(reason=Reason.NOT_A_HAND, detail="By Body Part Examined.")
    if header.region_codes and anatomy.OTHER_REGIONS.issuperset(header.region_codes):
        return Refused(reason=Reason.NOT_A_HAND, detail="By Anatomic Region.")
    if header.view_position.upper() in anatomy.WRONG_VIEWS:
        return Refused(reason=Reason.WRONG_VIEW, detail="By View Position.")
    if anatomy.WRONG_VIEW_CODES & set(header.view_codes):
        return Refused(reason=Reason.WRONG_VIEW, detail="By View Code.")
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
    left, top, columns, rows = radiograph.field
    margin = MARGIN * max(rows, columns)
    points = view.landmarks
    outside = (
        (points[:, 0] < left - margin)
        | (points[:, 0] > left + columns - 1 + margin)
        | (points[:, 1] < top - margin)
        | (points[:, 1] > top + rows - 1 + margin)
    )
    if bool(outside.any()):
        return Refused(reason=Reason.CROPPED, detail=f"{int(outside.sum())} of 21 landmarks.")
    length = float(np.hypot(*(points[10] - points[0])))
    if length < MIN_HAND_PX:
        detail = f"{length:.0f} px from wrist to knuckle, at least {MIN_HAND_PX:g} are needed."
        return Refused(reason=Reason.TOO_SMALL, detail=detail)
    return None
