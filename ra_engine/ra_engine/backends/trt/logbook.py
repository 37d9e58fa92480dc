"""The library's own messages: kept for our error lines, passed on to logging."""

from __future__ import annotations

import logging
from typing import Any

from ra_engine.backends.trt.api import TensorRt

_LOG = logging.getLogger("ra_engine.trt")
_LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
_KEPT = 20


class Logbook:
    """Collects errors; ``sink`` is what the library's constructors take."""

    def __init__(self, api: TensorRt) -> None:
        self.errors: list[str] = []
        book = self

        class Sink(api.ILogger):  # type: ignore[name-defined, misc]  # the class exists at run time
            """The library calls ``log`` from its own threads too."""

            def __init__(self) -> None:
                api.ILogger.__init__(self)  # pybind11 wants the base called by name

            def log(self, severity: Any, msg: str) -> None:
                """One message of the library."""
                book.take(int(severity), msg)

        self.sink: Any = Sink()

    def take(self, severity: int, message: str) -> None:
        """Keep errors (0 internal, 1 error); hand everything to logging."""
        _LOG.log(_LEVELS[min(severity, len(_LEVELS) - 1)], "%s", message)
        if severity <= 1 and len(self.errors) < _KEPT:
            self.errors.append(message.strip())

    def last(self) -> str:
        """The first thing that went wrong, in one line; empty when nothing was said."""
        return " ".join(self.errors[0].split())[:300] if self.errors else ""
