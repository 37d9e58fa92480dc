"""Deliver: one object to one destination, as data: delivered, postponed or parked.

One retry layer only, the outbox. After a crash in mid-send the peer is asked first, where it can
answer; otherwise the same bytes go again under the same UID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ra_daemon import checkpoints
from ra_daemon.config import Config, Peer
from ra_daemon.dicom import scu
from ra_daemon.domain import Delivered, Delivery, DeliveryOutcome, Postponed

BATCH = 16
"""Objects of one turn, over one association."""


def deliver(
    config: Config, peer: Peer, deliveries: Sequence[Delivery]
) -> Iterator[tuple[Delivery, DeliveryOutcome]]:
    """Send a batch over one association; yield every delivery with its outcome."""
    open_ones = {d.delivery_id: d for d in deliveries}
    try:
        for delivery, outcome in _attempt(config, peer, deliveries):
            del open_ones[delivery.delivery_id]
            yield delivery, outcome
    except (OSError, ValueError, RuntimeError) as error:
        # A file that is gone or a fault of the library: nothing stays in mid-send.
        for delivery in open_ones.values():
            yield delivery, Postponed(cause=f"{type(error).__name__} while sending.")


def _attempt(
    config: Config, peer: Peer, deliveries: Sequence[Delivery]
) -> Iterator[tuple[Delivery, DeliveryOutcome]]:
    due: list[Delivery] = []
    for delivery in deliveries:
        checkpoints.hit("deliver")
        if delivery.was_sending and _already_there(config, peer, delivery):
            yield delivery, Delivered(status=0, already_there=True)
        else:
            due.append(delivery)
    if due:
        for answered in scu.send(config, peer, due):
            checkpoints.hit("sent")
            yield answered


def retry_delay_s(config: Config, attempt: int) -> float:
    """Capped exponential back-off: doubles with every attempt (1-based)."""
    rule = config.delivery
    return min(rule.max_retry_s, rule.first_retry_s * 2.0 ** min(attempt - 1, 30))


def _already_there(config: Config, peer: Peer, delivery: Delivery) -> bool:
    if not peer.query:
        return False
    answer = scu.find_instance(config, peer, delivery.study_instance_uid, delivery.sop_instance_uid)
    return answer is True
