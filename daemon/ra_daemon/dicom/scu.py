"""Our side as a user of other nodes: echo, find, and send stored files byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, _config
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from ra_daemon import log
from ra_daemon.config import Config, Peer, Tls
from ra_daemon.dicom.tls import client_context
from ra_daemon.domain import (
    OBJECT_FILE,
    Delivered,
    Delivery,
    DeliveryOutcome,
    Parked,
    Postponed,
)
from ra_daemon.errors import PeerError, UnreadableError
from ra_daemon.store.objects import intact

_config.STORE_SEND_CHUNKED_DATASET = True  # the bytes as they lie in the file

_log = log.get(__name__)
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendItem:
    """A file to send, with the identifiers its association needs."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def echo(config: Config, peer: Peer) -> None:
    """C-ECHO.

    Raises:
        PeerError: the peer cannot be reached, rejects us or answers with a failure.
    """
    ae = entity(config)
    ae.add_requested_context(Verification)
    association = associate(ae, peer, config.tls)
    try:
        status = association.send_c_echo()
        if not status or status.Status != 0:
            raise PeerError(f"{peer.name} did not answer C-ECHO with success.")
    finally:
        association.release()


def send(
    config: Config, peer: Peer, deliveries: Sequence[Delivery]
) -> Iterator[tuple[Delivery, DeliveryOutcome]]:
    """Send stored objects over one association; every delivery gets an outcome."""
    found: list[tuple[Delivery, SendItem]] = []
    for delivery in deliveries:
        try:
            if not intact(delivery.object_path):  # before it is parsed: it may raise anything
                yield delivery, Parked(cause=f"{OBJECT_FILE}damaged")
                continue
            found.append((delivery, _item(delivery.object_path)))
        except (OSError, ValueError, AttributeError, InvalidDicomError) as error:
            # One file that is gone must not hold back all the others for ever.
            yield delivery, Parked(cause=f"{OBJECT_FILE}{type(error).__name__}")
    if not found:
        return
    try:
        contexts = _with_contexts(config, [item for _, item in found])
        association = associate(contexts, peer, config.tls)
    except PeerError as error:
        cause: DeliveryOutcome
        cause = Postponed(cause=str(error)) if error.retriable else Parked(cause=str(error))
        for delivery, _unsent in found:
            yield delivery, cause
        return
    try:
        for delivery, item in found:
            yield delivery, _send_one(association, item, peer)
    finally:
        if association.is_established:
            association.release()


def store_files(config: Config, peer: Peer, paths: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Send files as they are; yield (path, status). 0xFFFF: no answer or no common context.

    Raises:
        PeerError: no association.
        UnreadableError: a file is no DICOM file; nothing was sent.
    """
    items = [_checked_item(p) for p in paths]
    association = associate(_with_contexts(config, items), peer, config.tls)
    try:
        for item in items:
            yield item.path, _status(association, item)
    finally:
        if association.is_established:
            association.release()


def find_instance(config: Config, peer: Peer, study_uid: str, sop_uid: str) -> bool | None:
    """Whether the peer holds an instance; None when it cannot answer."""
    ae = entity(config)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study_uid
    query.SeriesInstanceUID = ""
    query.SOPInstanceUID = sop_uid
    try:
        association = associate(ae, peer, config.tls)
    except PeerError:
        return None
    try:
        if not association.accepted_contexts:
            return None
        found = False
        for status, answer in association.send_c_find(
            query, StudyRootQueryRetrieveInformationModelFind
        ):
            if not status or "Status" not in status:
                return None
            if status.Status in _PENDING and answer is not None:
                found = found or str(answer.get("SOPInstanceUID", "")) == sop_uid
            elif status.Status != 0:
                return None
    except (ValueError, RuntimeError):
        return None
    else:
        return found
    finally:
        if association.is_established:
            association.release()


def classify(status: int, peer: Peer) -> DeliveryOutcome:
    """What a C-STORE status means: success and warnings are delivered, A7xx and 0110 transient."""
    if status == 0 or 0xB000 <= status <= 0xBFFF:
        return Delivered(status=status)
    if status == 0xFFFF:
        return Postponed(cause=f"{peer.name} gave no answer.", unanswered=True)
    if 0xA700 <= status <= 0xA7FF or status == 0x0110:
        return Postponed(cause=f"{peer.name} answered 0x{status:04X}.")
    return Parked(cause=f"{peer.name} refused with 0x{status:04X}.")


def entity(config: Config) -> AE:
    """Our AE as a caller, with its limits."""
    ae = AE(ae_title=config.node.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = config.delivery.timeout_s
    ae.connection_timeout = min(5.0, config.delivery.timeout_s)
    ae.maximum_pdu_size = 131072
    return ae


def associate(
    ae: AE, peer: Peer, tls: Tls, handlers: Sequence[tuple[Any, Callable[..., Any]]] = ()
) -> Any:
    """Open an association; ``handlers`` serve what the peer asks over it.

    Raises:
        PeerError: there is none; not ``retriable`` when the peer will not have us.
    """
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        evt_handlers=list(handlers),
        tls_args=client_context(tls, peer),
    )
    if association.is_established:
        link = association.dul.socket
        if link is not None and link.socket is not None:
            # pynetdicom waits for ever when a peer no longer reads what it is sent
            link.socket.settimeout(ae.network_timeout)
        return association
    where = f"{peer.name} ({peer.ae_title} at {peer.host}:{peer.port})"
    if association.is_rejected:
        answer = association.acceptor.primitive
        permanent = answer is not None and answer.result == 1
        error = PeerError(f"{where} rejected the association.")
        error.retriable = not permanent
        raise error
    accepted_none = association.is_aborted and association.acceptor.primitive is not None
    if accepted_none:
        error = PeerError(
            f"{where} accepted none of our presentation contexts.",
            hint="The peer may not know the SR class: set sr_class of this peer.",
        )
        error.retriable = False
        raise error
    raise PeerError(f"{where} cannot be reached.")


def _checked_item(path: Path) -> SendItem:
    """A file that a person named: it may be anything."""
    try:
        return _item(path)
    except (InvalidDicomError, AttributeError) as error:
        raise UnreadableError(
            f"{path} is no DICOM file with its file meta and UIDs.",
            hint="Name files that dcmdump can read.",
        ) from error


def _item(path: Path) -> SendItem:
    ds = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return SendItem(
        path=path,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
    )


def _with_contexts(config: Config, items: Sequence[SendItem]) -> AE:
    """Only the contexts that the files need: a peer picks the first syntax it knows of each."""
    ae = entity(config)
    for pair in sorted({(i.sop_class_uid, i.transfer_syntax_uid) for i in items}):
        ae.add_requested_context(pair[0], pair[1])
    return ae


def _send_one(association: Any, item: SendItem, peer: Peer) -> DeliveryOutcome:
    if not association.is_established:
        return Postponed(cause=f"{peer.name} closed the association.")
    taken = {str(c.abstract_syntax) for c in association.accepted_contexts}
    if item.sop_class_uid not in taken:
        return Parked(cause=f"{peer.name} does not take SOP class {item.sop_class_uid}.")
    return classify(_status(association, item), peer)


def _status(association: Any, item: SendItem) -> int:
    try:
        # From the path, pynetdicom sends the encoded data set as it lies in the file.
        answer = association.send_c_store(str(item.path))
    except (ValueError, RuntimeError, OSError) as error:
        _log.warning("object.not_sent", error=type(error).__name__)
        return 0xFFFF
    return int(answer.Status) if answer and "Status" in answer else 0xFFFF
