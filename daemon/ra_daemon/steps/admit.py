"""Admit: a received file becomes rows and an object; idempotent, so a restart just goes on.

Order: link into the object store, commit the rows, only then leave the inbox. A crash between any
two of these repeats the rest; nothing is lost and nothing is admitted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError

from ra_daemon import checkpoints, log
from ra_daemon.config import Config, Route
from ra_daemon.dicom import guard, inbox, read
from ra_daemon.domain import Admission, Header, JobState, Reason, Refused
from ra_daemon.errors import UnreadableError
from ra_daemon.routing import lane_of, match_route
from ra_daemon.store import instances, mended
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue

_log = log.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What the log tells of an admission, once it is committed.

    Attributes:
        uid_key: names the image without telling which it is.
        judged_again: job that judges a known image, or judges it once more.
        mended: as in ``instances.AdmitResult``.
    """

    instance_id: int
    uid_key: str
    status: instances.Status
    judged_again: int | None = None
    mended: str = ""


def digest_file(path: Path, store: ObjectStore) -> Admission:
    """Digest one inbox file and link it into the object store."""
    checkpoints.hit("admit")
    header: Header | None = None
    refused: Refused | None = None
    parsable = False
    try:
        guard.check(path)
        parsable = True
        header = read.read_header(path)
    except UnreadableError as error:
        refused = Refused(reason=Reason.UNREADABLE, detail=str(error))
        header = read.identify(path) if parsable else None
    except OSError:
        raise  # the disk's fault, not the file's: it stays in the inbox
    except Exception as error:  # noqa: BLE001 - one file must not stop the admission of all others
        refused = Refused(reason=Reason.UNREADABLE, detail=f"{type(error).__name__} in its header.")
    dataset_sha256, pixel_sha256 = read.digests(path, parsable=parsable)
    stat = path.stat()
    kept, found = store.adopt(path, dataset_sha256, ".dcm", partial(_holds, dataset_sha256, header))
    return Admission(
        dataset_sha256=dataset_sha256,
        pixel_sha256=pixel_sha256,
        path=kept,
        size=stat.st_size,
        received_at=datetime.fromtimestamp(stat.st_mtime, UTC),
        origin=inbox.read_origin(path),
        header=header,
        refused=refused,
        found=found,
    )


def _holds(dataset_sha256: str, header: Header | None, path: Path) -> bool:
    """Whether a kept file still holds its data set, and is read as the one that came.

    The file meta of each sending is another: what counts of it is the header that it leads to,
    which names the transfer syntax.
    """
    try:
        if read.digests(path, parsable=False)[0] != dataset_sha256:
            return False
        return header is None or read.identify(path) == header
    except Exception:  # noqa: BLE001 - what the disk does not give, or gives damaged, is lost
        return False


def admit_all(
    engine: Engine,
    admissions: Sequence[Admission],
    *,
    config: Config,
    queue: JobQueue,
    digest_of: Callable[[Route], str],
) -> None:
    """Write a batch in one transaction; an image that the database will not take harms no other.

    It is kept, and recorded as unreadable. A database that is away raises as ever.
    """

    def write(batch: Sequence[Admission]) -> None:
        with engine.begin() as conn:
            done = [
                admit(conn, one, config=config, queue=queue, digest_of=digest_of) for one in batch
            ]
        for admitted in done:  # now it is true: what was rolled back is never told
            _tell(admitted)

    try:
        write(admissions)
    except (DataError, UnicodeError, ValueError, TypeError):
        for one in admissions:
            try:
                write([one])
            except (DataError, UnicodeError, ValueError, TypeError) as error:
                _log.error("instance.unwritable", error=type(error).__name__)
                detail = "The database does not take its header."
                refused = Refused(reason=Reason.UNREADABLE, detail=detail)
                write([replace(one, header=None, refused=refused)])
    checkpoints.hit("admitted")


def admit(
    conn: Connection,
    admission: Admission,
    *,
    config: Config,
    queue: JobQueue,
    digest_of: Callable[[Route], str],
) -> Admitted:
    """Write the rows of one file and, when a route takes it, its job.

    A refused image that comes again is judged again where the route, its pipeline or the header is
    another one by now; its refusal stands until the new verdict. So does an image go on whose file
    was gone or damaged until it came again, see ``store.mended``.
    """
    route = None
    if admission.header is not None:
        route = match_route(config, admission.origin, admission.header)
    result = instances.admit(conn, admission, route=route.name if route else "")
    key = log.uid_key(admission.header.sop_instance_uid) if admission.header else "-"
    admitted = Admitted(
        instance_id=result.instance_id, uid_key=key, status=result.status, mended=result.mended
    )
    if admission.refused is not None:
        return admitted
    if result.status == "same" and (result.mended or mended.waits(conn, result.instance_id)):
        job = _resume(conn, admission, result, route, config, queue, digest_of)
        if job is not None:
            return replace(admitted, judged_again=job)
    if result.status in ("new", "conflict"):
        if route is None:
            instances.refuse(conn, result.instance_id, Refused(reason=Reason.NO_ROUTE))
        else:
            queue.enqueue(conn, result.instance_id, digest_of(route), lane_of(route), route.name)
    elif result.refused and route is not None:
        wanted = (result.instance_id, digest_of(route), lane_of(route), route.name)
        job = queue.enqueue(conn, *wanted)
        if job is None and result.status == "header_changed":
            job = queue.judge_again(conn, *wanted)
        if job is not None:
            instances.set_route(conn, result.instance_id, route.name)
            return replace(admitted, judged_again=job)
    return admitted


def _resume(
    conn: Connection,
    admission: Admission,
    result: instances.AdmitResult,
    route: Route | None,
    config: Config,
    queue: JobQueue,
    digest_of: Callable[[Route], str],
) -> int | None:
    """An image's file is whole again: judge it, or write its reports. The job, if there is one.

    A refused image takes the route that it would take now; any other keeps its own, whoever sent
    the file again.
    """
    number = result.instance_id
    name = mended.route_of(conn, number, admission.path)
    if name is None:
        return None
    jobs = queue.resume(conn, number)
    if mended.doubtful(conn, number):
        named = next((r for r in config.route if r.name == name), None)
        taken = (route or named) if result.refused else (named or route)
        if taken is not None:
            wanted = (number, digest_of(taken), lane_of(taken), taken.name)
            job = queue.enqueue(conn, *wanted) or queue.judge_again(
                conn, *wanted, settled=(JobState.REFUSED, JobState.SCORED)
            )
            if job is not None:
                instances.set_route(conn, number, taken.name)
                jobs.append(job)
        if jobs:
            mended.drop_reports(conn, number)
    else:
        mended.retry_reports(conn, number)
    return jobs[-1] if jobs else None


def _tell(admitted: Admitted) -> None:
    number = admitted.instance_id
    _log.info("instance.admitted", instance=number, uid=admitted.uid_key, status=admitted.status)
    if admitted.mended:
        _log.warning("instance.file_mended", instance=number, was=admitted.mended)
    if admitted.judged_again is not None:
        _log.info("instance.judged_again", instance=number, job=admitted.judged_again)


def drop_sidecar(path: Path) -> None:
    """Remove the origin note of a file that has left the inbox."""
    inbox.sidecar(path).unlink(missing_ok=True)
