"""What the dispatcher and a scorer process tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from ra_daemon.config import Route
from ra_daemon.domain import Header, Outcome
from ra_daemon.engines import EngineState
from ra_daemon.scorers import Fault, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTask:
    """One image to be worked: absolute path of its file, its header, and the route's rules.

    ``dataset_sha256``: that the file must hold; "" for one that no node received.
    ``shadow``: by the shadow bundle.
    """

    job_id: int
    path: str
    header: Header
    route: Route
    dataset_sha256: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The process has loaded the models of a role. ``engine`` tells what runs the score graph."""

    role: Role
    engine: EngineState


@dataclass(frozen=True, slots=True, kw_only=True)
class Unready:
    """The process could not load the models of a role; without the active ones it ends."""

    role: Role
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An engine failed at work, and with it perhaps all that the device holds: the process ends."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The process is alive and now at ``stage``; ``blame`` names the plugin at work, if any."""

    stage: str
    blame: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """One task is done."""

    job_id: int
    outcome: Outcome


Message = Ready | Unready | Lost | Progress | Settled
