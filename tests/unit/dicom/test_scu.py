"""What leaves the store is what was put into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ra_daemon.config import Config, Peer
from ra_daemon.dicom import scu
from ra_daemon.domain import Delivery, Parked, Postponed
from ra_daemon.store.objects import ObjectStore
from tests.support.dicom_sources import clean


def in_pixels(data: bytes) -> bytes:
    return data[:-9] + b"X" + data[-8:]


def in_vr(data: bytes) -> bytes:
    """pydicom raises a RuntimeError, as for a fault that passes."""
    at = data.index(b"\x08\x00\x16\x00UI") + 4
    return data[:at] + b"QQ" + data[at + 2 :]


def cut(data: bytes) -> bytes:
    """pydicom raises what is no OSError and no ValueError."""
    return data[: data.index(b"\x08\x00\x16\x00UI") + 6]


@pytest.mark.parametrize("damaged", [in_pixels, in_vr, cut])
def test_a_damaged_object_is_parked_and_never_sent(
    tmp_path: Path, damaged: Callable[[bytes], bytes]
) -> None:
    store = ObjectStore(tmp_path / "root")
    data = clean(tmp_path / "made.dcm").read_bytes()
    path = store.open_path(store.put_bytes(data, ".dcm")[0])
    path.write_bytes(damaged(data))
    item = Delivery(
        delivery_id=1, object_path=path, sop_class_uid="1.2", sop_instance_uid="1.3",
        study_instance_uid="1.4", destination="main", attempt=1, demonstration=False,
        was_sending=False,
    )  # fmt: skip
    nobody = Peer(name="main", ae_title="NOBODY", host="127.0.0.1", port=9)
    ((_, outcome),) = scu.send(Config(), nobody, [item])
    assert outcome == Parked(cause="object file: damaged")


@pytest.mark.parametrize(("status", "unanswered"), [(0xFFFF, True), (0xA700, False)])
def test_a_peer_that_gave_no_answer_may_have_the_object(status: int, *, unanswered: bool) -> None:
    outcome = scu.classify(status, Peer(name="main", ae_title="NOBODY"))
    assert isinstance(outcome, Postponed)
    assert outcome.unanswered is unanswered
