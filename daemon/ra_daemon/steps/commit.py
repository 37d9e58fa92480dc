"""Commit: ask peers to answer for what they took, and write what they say."""

from __future__ import annotations

from ra_daemon import log
from ra_daemon.config import Config, Peer
from ra_daemon.dicom import commitment
from ra_daemon.errors import PeerError
from ra_daemon.store.commitments import Commitments
from ra_daemon.store.events import EventBox

_log = log.get(__name__)
_BATCH = 100
_ASKED_AGAIN = (
    "The peer is asked again after delivery.commitment_timeout_s. Look at the disk of store.root."
)


def request(config: Config, peer: Peer, commitments: Commitments, events: EventBox) -> bool:
    """Ask one peer about what it took since the last time; True when there was something to ask.

    Raises:
        PeerError: the peer is away; nothing was asked, and the loop's pause may grow.
    """
    rule = config.delivery
    commitments.lapse(peer.name, rule.commitment_timeout_s)
    parked = commitments.park_hopeless(peer.name, rule.commitment_attempts)
    if parked:
        _log.warning("commitment.parked", destination=peer.name, objects=parked)
    asked = commitments.begin(peer.name, _BATCH)
    if asked is None:
        return False
    key = log.uid_key(asked.transaction_uid)
    try:
        commitment.request(config, peer, asked.transaction_uid, asked.references, events.put)
    except commitment.CommitmentRefusedError as error:
        commitments.refuse(asked, str(error), rule.max_retry_s)
        _log.warning("commitment.refused", destination=peer.name, transaction=key)
    except PeerError:
        commitments.withdraw(asked, rule.first_retry_s)
        raise
    else:
        _log.info("commitment.requested", destination=peer.name, transaction=key)
    return True


def settle(config: Config, commitments: Commitments, events: EventBox) -> bool:
    """Write the reports that have come; True when there were some."""
    waiting = events.waiting()
    for path, report in waiting:
        if report is None:
            _log.error("commitment.unreadable", hint=_ASKED_AGAIN)
        else:
            names = [p.name for p in config.peer if p.ae_title.strip() == report.ae_title.strip()]
            done = commitments.settle(report, names, config.delivery.commitment_attempts)
            _log.info(
                "commitment.reported",
                transaction=log.uid_key(report.transaction_uid),
                committed=done.committed,
                resent=done.resent,
                parked=done.parked,
            )
        events.drop(path)
    return bool(waiting)
