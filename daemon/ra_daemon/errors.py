"""Errors of the daemon. Each has a code, a hint that names the remedy, and says whether to retry.

RaError (ra_engine)
└── DaemonError
    ├── ConfigError         exit status 3   the configuration cannot be used
    ├── PeerError           exit status 4   a DICOM peer refused or did not answer
    ├── StoreError          exit status 5   the database or the object store cannot be used
    │   ├── DatabaseLostError               the store has objects, and no database knows them
    │   ├── DiskFullError                   the disk of the database, the store or a folder is full
    │   └── LeaseLostError                  the job was given to another worker meanwhile
    ├── FileSystemError                     a file or folder cannot be read, made or written
    ├── UnreadableError                     a file is no DICOM image that we can decode
    ├── FileDamagedError                    a received file is gone, or not what was received
    ├── FindingsDamagedError                the stored findings of a report are gone or damaged
    ├── ComposeError                        a report or capture could not be written
    ├── ScorerUnreadyError                  a scorer process did not load its models
    └── ScorerCrashError                    a scorer process died, hung or outgrew its memory
        └── EngineLostError                 its engine failed at work
"""

from __future__ import annotations

from ra_engine.errors import RaError


class DaemonError(RaError):
    """The daemon could not do what it was asked."""

    code = "daemon.failed"
    exit_status = 1


class ConfigError(DaemonError):
    """The configuration cannot be used."""

    code = "config.invalid"
    hint = "Run ra-daemon config check: it prints key, value, allowed range and the nearest key."
    exit_status = 3


class PeerError(DaemonError):
    """A DICOM peer refused or did not answer."""

    code = "peer.failed"
    hint = "Run ra-daemon echo PEER and compare AE titles, host and port with the peer's own list."
    retriable = True
    exit_status = 4


class StoreError(DaemonError):
    """The database or the object store cannot be used."""

    code = "store.failed"
    hint = "Run ra-daemon doctor: it checks the database, its version and the disk."
    exit_status = 5


class DatabaseLostError(StoreError):
    """The store has objects whose database is gone or empty; a new one would not know them."""

    code = "database.lost"
    hint = (
        "Put a backup of the database back, see Backup in docs/admin.md; or store.url names "
        "another database: correct it; or, to begin anew, move objects/ away."
    )


class DiskFullError(StoreError):
    """The disk of the database, of the store or of a named folder is full."""

    code = "disk.full"
    hint = (
        "Free space on that disk, or set schedule.retain_pixels_days. What was acknowledged is "
        "kept, and a running node goes on by itself."
    )


class LeaseLostError(StoreError):
    """The lease of this job ran out and another worker holds the job now."""

    code = "job.lease_lost"
    hint = "Nothing to do: the other worker finishes the job. Raise scoring.lease_s if it recurs."


class FileSystemError(DaemonError):
    """A file or folder cannot be read, made or written."""

    code = "file.failed"
    hint = "Name a file that is there, or a folder that can be made and written."


class UnreadableError(DaemonError):
    """The file is no DICOM image that can be decoded."""

    code = "instance.unreadable"
    hint = "Open the file with dcmdump; ask the sender to send it again uncompressed."


class FileDamagedError(DaemonError):
    """The file of a received image is gone or damaged: nothing is scored or reported of it."""

    code = "instance.file_damaged"
    hint = (
        "Have the same image sent again: its job is then queued by itself. Where objects/ was "
        "restored: ra-daemon jobs retry --cause instance.file_damaged. Then look at the disk."
    )


class FindingsDamagedError(DaemonError):
    """Stored findings or heatmaps are gone or damaged: their report cannot be composed."""

    code = "report.findings_damaged"
    hint = (
        "Have the same image sent again: it is scored anew. Where objects/ was restored: "
        "ra-daemon jobs retry --cause report.findings_damaged. Then look at the disk."
    )


class DecoderError(DaemonError):
    """An optional decoder cannot be used; imagecodecs decodes instead."""

    code = "decoder.passed_over"
    hint = 'Run ra-daemon doctor, or set [scoring] decoder = "imagecodecs".'


class ComposeError(DaemonError):
    """A report or a capture could not be composed."""

    code = "report.failed"
    hint = "Ask the sender to send the image again; if it recurs, report it with the log."


class ScorerUnreadyError(DaemonError):
    """A scorer process did not load its models: the node's fault, no image is charged with it."""

    code = "scorer.unready"
    hint = "Run ra-daemon doctor: it says what is missing. The node keeps its jobs and tries again."


class ScorerCrashError(DaemonError):
    """A scorer process died, hung or outgrew its memory."""

    code = "scorer.crashed"
    blame = ""
    hint = "Run ra-daemon jobs show ID for the plugin at fault; then ra-daemon plugins check NAME."


class EngineLostError(ScorerCrashError):
    """The engine of a scorer process failed at work; the process is replaced."""

    code = "scorer.engine_lost"
    retriable = True
    hint = "Run nvidia-smi and ra-daemon doctor; look for scorer.engine_lost in the log."


def hint_of(code: str) -> str:
    """The remedy of an error that is known by its code only; "" where no class has that code."""
    kinds = [DaemonError]
    for kind in kinds:
        if kind.code == code:
            return kind.hint
        kinds += kind.__subclasses__()
    return ""
