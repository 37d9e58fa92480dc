"""Decoding ahead: a few threads turn files into pixels while the engine works on earlier images.

The decoders release the interpreter lock. At most ``window`` decoded images wait, so that memory
is bounded; images are decoded and taken in the order in which they were offered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ra_daemon import checkpoints
from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.domain import Refused
from ra_daemon.steps import decode
from ra_engine.types import Radiograph


class Key(NamedTuple):
    """Number of the job, path of its file, and what that file must hold, see ``decode.decode``."""

    job_id: int
    path: str
    dataset_sha256: str = ""
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A decoded image, or why its pixels cannot be scored; and the seconds that it took."""

    radiograph: Radiograph | Refused
    seconds: float


class Ahead:
    """Decodes what was offered, at most ``window`` images before they are taken.

    Args:
        threads: that decode; 0 decodes in the thread that takes.
        window: images that are being decoded or wait to be taken, at most.
        first: a decoder that is asked before imagecodecs.
    """

    def __init__(self, threads: int, window: int, first: FrameDecoder | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads, "decode") if threads else None
        self._window = window
        self._first = first
        self._waiting: deque[Key] = deque()
        self._begun: dict[Key, Future[Decoded]] = {}
        self._guard = threading.Lock()

    def offer(self, keys: Iterable[Key]) -> None:
        """Name images that will be taken, in this order. Any thread."""
        with self._guard:
            if self._pool is not None:
                self._waiting.extend(keys)
                self._fill(self._pool)

    def take(self, key: Key) -> Decoded:
        """The decoded image; waits for it. One that was not offered, or is not due, is decoded now.

        Raises:
            FileDamagedError: the file is gone, or not what was received.
            UnreadableError: no decoder could read it.
            MemoryError: there was no memory for it.
        """
        with self._guard:
            begun = self._begun.get(key)
            if begun is None and key in self._waiting:
                self._waiting.remove(key)
        if begun is None:
            return _decode(key, self._first)
        try:
            return begun.result()
        finally:
            with self._guard:
                del self._begun[key]
                if self._pool is not None:
                    self._fill(self._pool)

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        while self._waiting and len(self._begun) < self._window:
            key = self._waiting.popleft()
            self._begun[key] = pool.submit(_decode, key, self._first)


def _decode(key: Key, first: FrameDecoder | None) -> Decoded:
    checkpoints.hit("decode")
    started = time.perf_counter()
    radiograph = decode.decode(
        Path(key.path),
        first,
        dataset_sha256=key.dataset_sha256,
        transfer_syntax_uid=key.transfer_syntax_uid,
    )
    return Decoded(radiograph=radiograph, seconds=time.perf_counter() - started)
