"""Codes and words by which tags say plainly what an image shows (SNOMED CT; PS3.16 CID 4010, 4031).

Only what cannot be a hand is listed: codes of the arm, the wrist and whole limbs are left to the
pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OTHER_BODY_PARTS = _words(
    "ABDOMEN ANKLE BREAST CALCANEUS CHEST CLAVICLE COCCYX CSPINE ELBOW FEMUR FOOT HEAD HEART HIP "
    "HUMERUS JAW KNEE LEG LSPINE LUNG MANDIBLE MAXILLA NECK NOSE ORBIT PATELLA PELVIS RIB RIBS "
    "SACRUM SCAPULA SHOULDER SKULL SPINE STERNUM TIBIA TOE TSPINE"
)
"""Defined terms of Body Part Examined."""

OTHER_REGIONS = _words(
    "818981001 818982008 85856004 70258002 72001000 76752008 80144004 122494005 1217257000 "
    "816094009 416775004 416550000 51299004 64688005 16953009 91397008 71341001 87342007 56459004 "
    "69536005 774007 80891009 29836001 24136001 85050009 22356005 661005 72696002 30021000 "
    "61685007 122496007 1217253001 91609006 70925003 74386004 45048000 417437006 416319003 "
    "416152001 363654007 2095001 64234005 816092008 1231522001 113197003 1217254007 39723000 "
    "54735007 79601000 58742003 16982005 89546000 421060004 7844006 56873002 27949001 53620006 "
    "68367000 122495006 1217256009 29707007 40983000 110517009 13881006"
)
"""Anatomic Region Sequence: from abdomen (818981001) to zygoma (13881006)."""

WRONG_VIEWS = _words("LL RL LLD RLD LLO RLO LATERAL OBLIQUE")
"""View Position."""

WRONG_VIEW_CODES = _words(
    "399352003 399300004 399012007 399260004 261129000 399118008 399173006 399297009 399198007 "
    "399099002 399184004 399236003 399160007 399059000 399312000"
)
"""View Code Sequence: lateral and oblique projections (399352003 is lateral-medial)."""

NOT_FILM = _words("DV DRW SD SYN WSD")
"""Conversion Type of a secondary capture that is no digitised film: video, drawing, scanned
document, synthetic, workstation."""

MADE_BY_ANALYSIS = _words("AI CAD GRADCAM HEATMAP OVERLAY SALIENCY")
"""Values of Image Type that somebody else's analysis writes."""

_LEFT = ("left", "links", "linke", "linker", "gauche", "sinistra", "izquierda", "esquerda")
_RIGHT = ("right", "rechts", "rechte", "rechter", "droite", "destra", "derecha", "direita")


def says(text: str, words: Sequence[str], unless: Sequence[str] = ()) -> str:
    """The first of ``words`` that a text holds as whole words, "" for none; case is ignored.

    Phrases in ``unless`` ("out of cast") are taken out of the text first.
    """
    for phrase in unless:
        text = _pattern(phrase).sub(" ", text)
    return next((w for w in words if _pattern(w).search(text)), "")


def side_in(text: str) -> str:
    """``L`` or ``R`` when a description names exactly one side, else ""."""
    left, right = bool(says(text, _LEFT)), bool(says(text, _RIGHT))
    if left == right:
        return ""
    return "L" if left else "R"


@cache
def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
