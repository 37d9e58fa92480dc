"""Decode, gate and score of a batch inside the scorer process; one bad image harms no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ra_daemon import checkpoints
from ra_daemon.config import Config
from ra_daemon.dicom import nvimgcodec
from ra_daemon.domain import Failed, Outcome, Refused
from ra_daemon.engines import EngineState
from ra_daemon.errors import DaemonError, FileDamagedError
from ra_daemon.steps import gate, score
from ra_daemon.worker.ahead import Ahead, Key
from ra_daemon.worker.child import failed
from ra_daemon.worker.messages import ScoreTask
from ra_engine.errors import BackendError
from ra_engine.types import Radiograph, ScoredImage

ProgressTeller = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eligible:
    task: ScoreTask
    gated: score.Gated
    timings: dict[str, float]


class Pipeline:
    """The models, loaded once, and the three steps that need them."""

    def __init__(self, config: Config, *, progress: ProgressTeller, pinned: str = "") -> None:
        self._progress = progress
        self._rules = config.gate
        self._config = config
        self._models = score.Models.load(config, pinned=pinned)
        self._models.prove()
        self._shadow: score.Models | None = None
        scoring = config.scoring
        first = nvimgcodec.chosen(scoring.decoder, config.engine.device)
        self._ahead = Ahead(scoring.decode_threads, scoring.decode_ahead, first)

    @property
    def engine(self) -> EngineState:
        """What runs the score graph."""
        return self._models.engine

    def load_shadow(self, *, pinned: str = "") -> EngineState:
        """Load the shadow's models; what runs its score graph.

        Args:
            pinned: see ``engines.chosen``.

        Raises:
            RaError: as for the active ones.
        """
        update = {"bundle": self._config.scoring.shadow}
        scoring = self._config.scoring.model_copy(update=update)
        shadow = score.Models.load(
            self._config.model_copy(update={"scoring": scoring}), pinned=pinned
        )
        shadow.prove()
        self._shadow = shadow
        return shadow.engine

    def offer(self, tasks: Sequence[ScoreTask]) -> None:
        """Begin to decode a batch that ``run`` will be given after those offered before."""
        self._ahead.offer([_key(t) for t in tasks if self._is_decoded(t)])

    def run(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        """Yield (job id, outcome) for every task, in any order.

        Raises:
            BackendError: an engine failed. That is no verdict on an image.
        """
        eligible: dict[tuple[bool, tuple[str, ...]], list[_Eligible]] = {}
        for task in tasks:
            ready = self._admit_to_score(task)
            if isinstance(ready, _Eligible):
                eligible.setdefault((task.shadow, task.route.scorers), []).append(ready)
            else:
                yield task.job_id, ready
        for (_shadow, scorers), group in eligible.items():
            yield from self._score(scorers, group)

    def _models_of(self, task: ScoreTask) -> score.Models:
        """The active models, or the shadow's."""
        if not task.shadow:
            return self._models
        if self._shadow is None:
            raise DaemonError("The shadow's models are not loaded.", hint="Restart the node.")
        return self._shadow

    def _admit_to_score(self, task: ScoreTask) -> _Eligible | Outcome:
        """Decode and gate one image."""
        timings: dict[str, float] = {}
        try:
            refused = self._refused(task)
            if refused is not None:
                checkpoints.hit("gate")
                return refused
            self._progress("decode", "")
            decoded = self._ahead.take(_key(task))
            timings["decode"], radiograph = decoded.seconds, decoded.radiograph
            if isinstance(radiograph, Refused):
                return radiograph
            self._progress("gate", "")
            checkpoints.hit("gate")
            started = time.perf_counter()
            gated = self._gate(task, radiograph)
            timings["gate"] = time.perf_counter() - started
        except (MemoryError, BackendError):
            raise
        except FileDamagedError as error:
            return failed(error, "file")
        except Exception as error:  # noqa: BLE001 - the worker loop's isolation wall
            return failed(error, "decode")
        return (
            gated
            if isinstance(gated, Refused)
            else _Eligible(task=task, gated=gated, timings=timings)
        )

    def _is_decoded(self, task: ScoreTask) -> bool:
        try:
            return self._refused(task) is None
        except Exception:  # noqa: BLE001 - told by ``run``, where it fails this image alone
            return False

    def _refused(self, task: ScoreTask) -> Refused | None:
        return gate.judge_header(task.header, task.route, self._rules)

    def _gate(self, task: ScoreTask, radiograph: Radiograph) -> score.Gated | Refused:
        located = self._models.locate(radiograph)
        scored = self._models_of(task).bundle.manifest.hands
        refused = gate.judge_pixels(radiograph, located) or gate.judge_hands(located, scored)
        if refused is not None:
            return refused
        side, source, conflict = gate.laterality(radiograph, located)
        views = score.with_sides(located.hands, side, source, conflict=conflict)
        image = ScoredImage(instance=str(task.job_id), radiograph=radiograph, views=views)
        return score.Gated(image=image, side=side, side_source=source, conflict=conflict)

    def _score(
        self, scorers: tuple[str, ...], group: Sequence[_Eligible]
    ) -> Iterator[tuple[int, Outcome]]:
        """Score a group together; when that fails, each alone, so that only the bad one fails."""
        checkpoints.hit("score")
        started = time.perf_counter()
        try:
            outcomes = self._models_of(group[0].task).score(
                [e.gated for e in group], scorers, lambda name: self._progress("score", name)
            )
        except (MemoryError, BackendError):
            raise
        except Exception as error:  # noqa: BLE001 - the worker loop's isolation wall
            if len(group) > 1:
                for one in group:
                    yield from self._score(scorers, [one])
                return
            yield group[0].task.job_id, _blamed(error)
            return
        seconds = (time.perf_counter() - started) / len(group)
        for one, outcome in zip(group, outcomes, strict=True):
            timings = {**one.timings, "score": seconds}
            yield one.task.job_id, replace(outcome, timings=timings)


def _key(task: ScoreTask) -> Key:
    return Key(
        job_id=task.job_id,
        path=task.path,
        dataset_sha256=task.dataset_sha256,
        transfer_syntax_uid=task.header.transfer_syntax_uid,
    )


def _blamed(error: Exception) -> Failed:
    blame = str(getattr(error, "scorer", "")) or "score"
    if isinstance(error, DaemonError):
        blame = str(getattr(error, "blame", blame))
    return failed(error, blame)
