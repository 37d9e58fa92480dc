"""Deliver: one object to one destination, as data: delivered, postponed or parked.

One retry layer only, the outbox. After a crash in mid-send the peer is asked first, where it can
answer; otherwise the same bytes go again under the same UID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ra_daemon.config import Config, Peer
from ra_daemon.dicom import scu
from ra_daemon.domain import Delivered, Delivery, DeliveryOutcome


def deliver(
    config: Config, peer: Peer, deliveries: Sequence[Delivery]
) -> Iterator[tuple[Delivery, DeliveryOutcome]]:
    """Send a batch over one association; yield every delivery with its outcome."""
    due: list[Delivery] = []
    for delivery in deliveries:
        if delivery.was_sending and _already_there(config, peer, delivery):
            yield delivery, Delivered(status=0, already_there=True)
        else:
            due.append(delivery)
    if due:
        yield from scu.send(config, peer, due)


def retry_delay_s(config: Config, attempt: int) -> float:
    """Capped exponential back-off: doubles with every attempt (1-based)."""
    rule = config.delivery
    return min(rule.max_retry_s, rule.first_retry_s * 2.0 ** min(attempt - 1, 30))


def _already_there(config: Config, peer: Peer, delivery: Delivery) -> bool:
    if not peer.query:
        return False
    answer = scu.find_instance(config, peer, delivery.study_instance_uid, delivery.sop_instance_uid)
    return answer is True
