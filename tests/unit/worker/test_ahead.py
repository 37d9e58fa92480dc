"""Decoding ahead: bounded, in order, and a bad image is nobody else's news."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ra_daemon.domain import Refused
from ra_daemon.errors import UnreadableError
from ra_daemon.steps import decode
from ra_daemon.worker.ahead import Ahead, Key
from ra_engine.types import Radiograph

LIMIT_S = 20.0


def radiograph(number: int) -> Radiograph:
    pixels = np.full((8, 8), number, np.uint16)
    pixels.flags.writeable = False
    return Radiograph(pixels=pixels)


def keys(numbers: range) -> list[Key]:
    return [Key(n, str(n), f"digest {n}", f"syntax {n}") for n in numbers]


def number_of(ahead: Ahead, key: Key) -> int:
    found = ahead.take(key).radiograph
    assert isinstance(found, Radiograph)
    return int(found.pixels[0, 0])


class Decoder:
    """Notes what it was given; ``gate`` holds it up; ``faults`` are raised."""

    def __init__(self, faults: dict[int, BaseException] | None = None) -> None:
        self.begun: list[int] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.faults = faults or {}

    def __call__(
        self, path: Path, _first: object, *, dataset_sha256: str, transfer_syntax_uid: str
    ) -> Radiograph | Refused:
        number = int(path.name)
        assert (dataset_sha256, transfer_syntax_uid) == (f"digest {number}", f"syntax {number}")
        self.begun.append(number)
        self.threads.add(threading.get_ident())
        assert self.gate.wait(LIMIT_S)
        if number in self.faults:
            raise self.faults[number]
        return radiograph(number)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    made = Decoder()
    monkeypatch.setattr(decode, "decode", made)
    return made


def eventually(holds: Callable[[], bool]) -> bool:
    done = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        if holds():
            return True
        done.wait(0.01)
    return False


def test_images_are_given_in_the_order_of_their_taking(decoder: Decoder) -> None:
    ahead = Ahead(3, 4)
    ahead.offer(keys(range(10)))
    assert [number_of(ahead, k) for k in keys(range(10))] == list(range(10))
    assert sorted(decoder.begun) == list(range(10))  # each once


@pytest.mark.parametrize(("threads", "window"), [(1, 1), (2, 4), (4, 2)])
def test_no_more_than_the_window_is_decoded_before_it_is_taken(
    decoder: Decoder, threads: int, window: int
) -> None:
    ahead = Ahead(threads, window)
    ahead.offer(keys(range(20)))
    for taken in range(20):
        assert eventually(lambda taken=taken: len(decoder.begun) == min(20, taken + window))
        assert number_of(ahead, *keys(range(taken, taken + 1))) == taken


def test_two_threads_decode_at_once(decoder: Decoder) -> None:
    decoder.gate.clear()
    ahead = Ahead(2, 4)
    ahead.offer(keys(range(4)))
    assert eventually(lambda: len(decoder.threads) == 2)
    decoder.gate.set()
    assert [number_of(ahead, k) for k in keys(range(4))] == list(range(4))


def test_a_second_batch_is_decoded_while_the_first_is_not_taken(decoder: Decoder) -> None:
    ahead = Ahead(2, 4)
    ahead.offer(keys(range(2)))
    ahead.offer(keys(range(2, 4)))
    assert eventually(lambda: len(decoder.begun) == 4)
    assert [number_of(ahead, k) for k in keys(range(4))] == list(range(4))


@pytest.mark.parametrize("fault", [UnreadableError("cut short"), MemoryError()])
def test_a_bad_image_raises_for_its_own_taker_only(decoder: Decoder, fault: BaseException) -> None:
    decoder.faults = {1: fault}
    ahead = Ahead(2, 2)
    ahead.offer(keys(range(4)))
    assert number_of(ahead, *keys(range(1))) == 0
    with pytest.raises(type(fault)):
        ahead.take(*keys(range(1, 2)))
    assert [number_of(ahead, k) for k in keys(range(2, 4))] == [2, 3]


def test_without_threads_an_image_is_decoded_where_it_is_taken(decoder: Decoder) -> None:
    ahead = Ahead(0, 4)
    ahead.offer(keys(range(3)))
    assert decoder.begun == []
    assert number_of(ahead, *keys(range(1))) == 0
    assert decoder.threads == {threading.get_ident()}


def test_what_was_not_offered_is_decoded_at_once(decoder: Decoder) -> None:
    ahead = Ahead(1, 1)
    ahead.offer(keys(range(3)))
    assert number_of(ahead, *keys(range(7, 8))) == 7
    assert (
        number_of(ahead, *keys(range(2, 3))) == 2
    )  # offered, not begun, and asked for out of turn
    assert [number_of(ahead, k) for k in keys(range(2))] == [0, 1]
