"""Logging: structured events without patient data.

Event names are ``noun.verb``. A last processor drops every field that could name a patient, so a
careless call leaks nothing; identifiers travel as ``uid_key``.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import warnings
from collections.abc import MutableMapping
from typing import Any

import structlog

from ra_daemon.config import Log

FORBIDDEN = frozenset(
    {
        "accession",
        "accession_number",
        "birth_date",
        "comments",
        "institution",
        "name",
        "patient",
        "patient_id",
        "patient_name",
        "physician",
        "series_description",
        "study_description",
    }
)
"""Field names that never reach a log line."""


def configure(config: Log) -> None:
    """Set level and form; console on a terminal, JSON elsewhere unless told otherwise."""
    console = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, config.level.upper())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            scrub,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log data sets and SQL parameters at lower levels: only their warnings may pass,
    # and pynetdicom's not even those, for it prints identifiers of the data set in them.
    form = "%(name)s" if console else '{"event": "library.warning", "logger": "%(name)s"}'
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True, format=form)
    for name in ("pynetdicom", "pydicom", "highdicom"):
        library = logging.getLogger(name)
        library.setLevel(logging.CRITICAL)
        # pydicom sets its level anew when it is imported: what passes then ends here
        library.propagate = False
        library.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore", UserWarning)  # highdicom's quote a patient's name


def get(name: str) -> Any:
    """A logger for a module."""
    return structlog.get_logger(module=name)


def uid_key(uid: str) -> str:
    """First 12 hex digits of sha256: names an object in a log without telling which it is."""
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


def scrub(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop fields that could name a patient."""
    for key in FORBIDDEN & event.keys():
        event[key] = "[removed]"
    return event
