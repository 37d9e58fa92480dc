"""The loop that sends what is due to one peer."""

from __future__ import annotations

import time

from ra_daemon import log, steptimes
from ra_daemon.config import Config, Peer
from ra_daemon.domain import Delivered, Delivery, DeliveryOutcome
from ra_daemon.steps import deliver
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.tally import SEND_FAILED, Tally

_log = log.get(__name__)


class Deliverer:
    """Claims what is due to a peer, a batch a turn, and settles each delivery by its outcome."""

    def __init__(self, config: Config, peer: Peer, outbox: Outbox, tally: Tally) -> None:
        self._config = config
        self._peer = peer
        self._outbox = outbox
        self._tally = tally
        self._broke = False  # the last turn ended midway, by a fault of the database or a library

    def step(self) -> bool:
        """One turn; whether anything was due."""
        name = self._peer.name
        if self._broke:
            self._outbox.recover(name)
        if not self._peer.takes_demonstrations:
            self._outbox.park_demonstrations(name)
        # after a fault one at a time: an object that causes it holds back no other
        number, self._broke = 1 if self._broke else deliver.BATCH, True
        due = self._outbox.claim_due(number, [name])
        started = time.perf_counter()
        for item, outcome in deliver.deliver(self._config, self._peer, due):
            steptimes.observe("deliver", time.perf_counter() - started)
            self._settle(item, outcome)
            started = time.perf_counter()
        self._broke = False
        return bool(due)

    def _settle(self, item: Delivery, outcome: DeliveryOutcome) -> None:
        if not isinstance(outcome, Delivered):
            self._tally.add(SEND_FAILED, self._peer.name)
        self._outbox.settle(item, outcome, deliver.retry_delay_s(self._config, item.attempt))
        _log.info(
            f"object.{type(outcome).__name__.lower()}",
            delivery=item.delivery_id,
            destination=self._peer.name,
            uid=log.uid_key(item.sop_instance_uid),
        )
