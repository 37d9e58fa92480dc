"""Storage Commitment Push Model (PS3.4 J): we ask (SCU), the peer answers by N-EVENT-REPORT.

The answer may come over the association of the request or over one that the peer opens to us; the
latter is the only way that every archive goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from ra_daemon import log
from ra_daemon.config import Config, Peer
from ra_daemon.dicom.scu import associate, entity
from ra_daemon.domain import CommitReport
from ra_daemon.errors import PeerError
from ra_daemon.faults import log_fields

Keep = Callable[[CommitReport], None]
SUCCESS, FAILED = 0x0000, 0x0110
_STAY_S = 2.0  # how long the association of a request stays open for an answer over it
_PROCESSING_FAILURE = 0x0110

_log = log.get(__name__)


class CommitmentRefusedError(PeerError):
    """The peer does not take the request for storage commitment."""

    code = "peer.commitment_refused"
    hint = "Does the peer do storage commitment for our AE title? Else set commitment = false."
    retriable = False


def request(
    config: Config,
    peer: Peer,
    transaction_uid: str,
    references: Sequence[tuple[str, str]],
    keep: Keep,
) -> None:
    """N-ACTION: ask a peer to answer for objects; ``keep`` gets an answer that comes at once.

    Raises:
        CommitmentRefusedError: the peer answered that it will not.
        PeerError: it cannot be reached, or gave no answer.
    """
    ae = entity(config)
    ae.add_requested_context(StorageCommitmentPushModel)
    answered = threading.Event()

    def take(event: Any) -> tuple[int, None]:
        status = receive(event, peer.ae_title, keep)
        answered.set()
        return status, None

    association = associate(ae, peer, config.tls, [(evt.EVT_N_EVENT_REPORT, take)])
    try:
        if not association.accepted_contexts:
            raise CommitmentRefusedError("no storage commitment")
        status, _reply = association.send_n_action(
            _information(transaction_uid, references),
            1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        if "Status" not in status:
            raise PeerError(f"{peer.name} gave no answer to N-ACTION.")
        if status.Status != SUCCESS:
            raise CommitmentRefusedError(f"N-ACTION 0x{status.Status:04X}")
        answered.wait(_STAY_S)
    finally:
        if association.is_established:
            association.release()


def receive(event: Any, ae_title: str, keep: Keep) -> int:
    """Handle an N-EVENT-REPORT: durable first, then the status."""
    try:
        keep(report_of(event.event_information, ae_title))
    except Exception as error:  # noqa: BLE001 - the SCP handler's isolation wall
        _log.error("commitment.not_kept", **log_fields(error))
        return FAILED
    return SUCCESS


def report_of(information: Dataset, ae_title: str) -> CommitReport:
    """The event information of PS3.4 J.3.3 as data; references without a UID are left out."""
    return CommitReport(
        transaction_uid=str(information.get("TransactionUID", "")),
        ae_title=ae_title,
        committed=tuple(
            str(item.ReferencedSOPInstanceUID)
            for item in information.get("ReferencedSOPSequence") or []
            if "ReferencedSOPInstanceUID" in item
        ),
        failed=tuple(
            (str(item.ReferencedSOPInstanceUID), _reason(item))
            for item in information.get("FailedSOPSequence") or []
            if "ReferencedSOPInstanceUID" in item
        ),
    )


def _reason(item: Dataset) -> int:
    value = item.get("FailureReason")
    return int(value) if isinstance(value, int) else _PROCESSING_FAILURE


def _information(transaction_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = transaction_uid
    asked.ReferencedSOPSequence = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        asked.ReferencedSOPSequence.append(item)
    return asked
