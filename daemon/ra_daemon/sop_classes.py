"""The storage SOP classes that the node takes: one table for receiver, routes and gate."""

from __future__ import annotations

SOP_CLASSES = {
    "CR": ("1.2.840.10008.5.1.4.1.1.1",),
    "DX": ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"),
    "SC": (
        *("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2"),
        *("1.2.840.10008.5.1.4.1.1.7.3", "1.2.840.10008.5.1.4.1.1.7.4"),
    ),
}
"""Names of the storage SOP classes that the node takes (PS3.6 table A-1); DX: for presentation and
for processing, SC: single and multi-frame."""

STORAGE_CLASSES = tuple(uid for uids in SOP_CLASSES.values() for uid in uids)
"""Every UID of the table."""
