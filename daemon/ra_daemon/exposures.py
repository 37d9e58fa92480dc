"""Twins: two objects of one exposure of one hand, and which of them is to be scored.

A detector may send an exposure for presentation and for processing, a workstation the same picture
under a second UID. One answer for each exposure: the better object is scored, its twins are not.
"""

from __future__ import annotations

from ra_daemon.domain import Header
from ra_daemon.sop_classes import SOP_CLASSES

(CR,) = SOP_CLASSES["CR"]
DX_PRESENTATION, DX_PROCESSING = SOP_CLASSES["DX"]
_ORDER = {DX_PRESENTATION: 0, CR: 1, DX_PROCESSING: 2}
_LAST = 3  # secondary captures: digitised film


def for_processing(header: Header) -> bool:
    """Whether the object is raw data, not meant to be looked at."""
    return (
        header.sop_class_uid == DX_PROCESSING
        or header.presentation_intent.upper() == "FOR PROCESSING"
    )


def same_exposure(a: Header, a_pixels: str, b: Header, b_pixels: str) -> bool:
    """Whether two objects of one study show one exposure of one hand.

    Certain signs only: the same pixels, the same irradiation event, or raw data beside its
    presentation with the same acquisition time and number. Two hands of one exposure differ in
    laterality, two crops of it in size: these are no twins.

    Args:
        a: header of one.
        a_pixels: digest of its encoded pixels, "" when there are none.
        b: header of the other.
        b_pixels: its digest.
    """
    if a.study_instance_uid != b.study_instance_uid or a.patient_id != b.patient_id:
        return False
    if a_pixels and a_pixels == b_pixels:
        return True
    if a.laterality.upper() != b.laterality.upper():
        return False
    raw_and_ready = for_processing(a) != for_processing(b)
    alike = bool(a.laterality) or (a.rows, a.columns) == (b.rows, b.columns)
    if a.irradiation_event_uid and a.irradiation_event_uid == b.irradiation_event_uid:
        return raw_and_ready or alike
    moments = [(h.acquisition_date, h.acquisition_time, h.acquisition_number) for h in (a, b)]
    told = bool(a.acquisition_date and a.acquisition_time)
    return raw_and_ready and told and moments[0] == moments[1]


def rank(header: Header) -> tuple[int, int, str]:
    """Sorts twins, the one to be scored first; the same whichever arrives first.

    Presentation before raw data, DX before CR before film, more pixels before fewer, then by UID.
    """
    kind = 2 if for_processing(header) else _ORDER.get(header.sop_class_uid, _LAST)
    return kind, -header.rows * header.columns, header.sop_instance_uid
