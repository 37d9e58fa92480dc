"""Sites of the van der Heijde modified Sharp score, with the ids of RAM-H1200."""

from __future__ import annotations

DIGITS = ("T", "I", "M", "R", "S")
"""Thumb, index, middle, ring, small."""

EROSION_SITES: tuple[str, ...] = (
    "BE_R", "BE_U", "BE_IP", "BE_L", "BE_S", "BE_Tm", "BE_CMC-T",
    "BE_MCP-T", "BE_MCP-I", "BE_MCP-M", "BE_MCP-R", "BE_MCP-S",
    "BE_PIP-I", "BE_PIP-M", "BE_PIP-R", "BE_PIP-S",
)  # fmt: skip
"""16 sites a hand, graded 0-5."""

NARROWING_SITES: tuple[str, ...] = (
    "JSN_MCP-T", "JSN_MCP-I", "JSN_MCP-M", "JSN_MCP-R", "JSN_MCP-S",
    "JSN_PIP-I", "JSN_PIP-M", "JSN_PIP-R", "JSN_PIP-S",
    "JSN_CMC-M", "JSN_CMC-R", "JSN_CMC-S", "JSN_SC", "JSN_SR", "JSN_STT",
)  # fmt: skip
"""15 sites a hand, graded 0-4."""

SITES = EROSION_SITES + NARROWING_SITES


def max_grade(site: str) -> int:
    """Highest grade of a site: 5 for erosion, 4 for joint space narrowing."""
    return 5 if site.startswith("BE_") else 4
