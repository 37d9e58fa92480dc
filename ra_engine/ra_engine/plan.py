"""Which graphs a set of scorers needs, each run once a batch, and the scorers after them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ra_engine.bundle import Bundle
from ra_engine.contracts import Scorer, Session
from ra_engine.errors import ScorerError
from ra_engine.findings import problem
from ra_engine.prepare import prepare_hand, prepare_image, tone_range
from ra_engine.types import Batch, Finding, Output, ScoredImage
from ra_engine.views import quarter_turn

OnScorer = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Scorers, and for each role the bundle and session that serve it."""

    scorers: tuple[Scorer, ...]
    roles: Mapping[str, tuple[Bundle, Session]]

    @property
    def digest(self) -> str:
        """sha256 over scorers, bundles, preprocessing and sessions: what decides a finding."""
        parts = {
            "scorers": [f"{s.name}/{s.api_version}" for s in self.scorers],
            "roles": {
                role: [b.digest, b.manifest.preprocessing.spec().digest, s.key]
                for role, (b, s) in self.roles.items()
            },
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def run(
        self, images: Sequence[ScoredImage], *, on_scorer: OnScorer | None = None
    ) -> list[list[Finding]]:
        """Findings of every image, in order.

        Args:
            on_scorer: told the name of every scorer before it runs.

        Raises:
            ScorerError: a scorer raised or broke its contract; ``scorer`` names it.
        """
        rows = tuple((i, v) for i, image in enumerate(images) for v in range(len(image.views)))
        batch = Batch(images=tuple(images), rows=rows)
        outputs = self.outputs(batch)
        found: list[list[Finding]] = [[] for _ in images]
        for scorer in self.scorers:
            if on_scorer is not None:
                on_scorer(scorer.name)
            for mine, theirs in zip(found, _call(scorer, batch, outputs), strict=True):
                mine.extend(theirs)
        return found

    def outputs(self, batch: Batch) -> dict[str, Output]:
        """Run every needed graph once; roles that share a graph share its arrays, read-only.

        Raises:
            BackendError: the runtime failed.
        """
        outputs: dict[str, Output] = {}
        done: dict[tuple[str, str], dict[str, NDArray[np.float32]]] = {}
        for role, (bundle, session) in self.roles.items():
            key = (bundle.digest, session.key)
            if key not in done:
                done[key] = _run(bundle, session, batch)
            outputs[role] = Output(
                role=role,
                arrays=done[key],
                model=bundle.reference(session),
                manifest=bundle.manifest.model_dump(),
            )
        return outputs


def plan(scorers: Sequence[Scorer], models: Sequence[tuple[Bundle, Session]]) -> Plan:
    """Resolve the roles that ``scorers`` need; the first bundle that offers a role serves it.

    Raises:
        ScorerError: no bundle offers a role, or its graph lacks an output.
    """
    roles: dict[str, tuple[Bundle, Session]] = {}
    for scorer in scorers:
        for role, wanted in scorer.needs.items():
            served = next(((b, s) for b, s in models if role in b.manifest.roles), None)
            if served is None:
                raise _error(scorer.name, f"needs a model for {role!r}; no bundle offers one")
            missing = set(wanted) - set(served[0].manifest.graph.outputs)
            if missing:
                name = served[0].name
                raise _error(scorer.name, f"needs {', '.join(sorted(missing))} of bundle {name}")
            roles[role] = served
    return Plan(scorers=tuple(scorers), roles=roles)


def _run(bundle: Bundle, session: Session, batch: Batch) -> dict[str, NDArray[np.float32]]:
    """Arrays by output name, read-only, one row for each row of the batch."""
    if not batch.rows:
        return {name: _read_only(np.zeros((0,), np.float32)) for name in bundle.outputs}
    arrays = session.run(_tensor(bundle, batch))
    if bundle.manifest.unit == "image":
        # Scorers read one row a view; the views of an image share what its graph said.
        of_view = [i for i, _ in batch.rows]
        arrays = {name: array[of_view] for name, array in arrays.items()}
    return {name: _read_only(array) for name, array in arrays.items()}


def _tensor(bundle: Bundle, batch: Batch) -> NDArray[np.float32]:
    spec = bundle.manifest.preprocessing.spec()
    if bundle.manifest.unit == "image":
        # The model knows hands that point up; where they do not, the image is turned for it.
        turns = [quarter_turn(i.views) for i in batch.images]
        pairs = zip(batch.images, turns, strict=True)
        return np.stack([prepare_image(i.radiograph, spec, turn=turn)[0] for i, turn in pairs])
    tones = [tone_range(i.radiograph, spec.percentiles) for i in batch.images]
    parts = [
        prepare_hand(batch.images[i].radiograph, batch.images[i].views[v], spec, tone=tones[i])
        for i, v in batch.rows
    ]
    return np.stack(parts)


def _call(
    scorer: Scorer, batch: Batch, outputs: Mapping[str, Output]
) -> Sequence[Sequence[Finding]]:
    needed = {role: outputs[role] for role in scorer.needs}
    found: object
    try:
        found = scorer.score(batch, needed)
    except MemoryError:
        raise
    except Exception as error:
        # Only the type: a foreign message may hold patient data.
        raise _error(scorer.name, f"raised {type(error).__name__}") from error
    if not isinstance(found, Sequence):
        raise _error(scorer.name, f"gave a {type(found).__name__}, not a sequence")
    if len(found) != len(batch.images):
        raise _error(scorer.name, f"gave {len(found)} results for {len(batch.images)} images")
    for image, findings in zip(batch.images, found, strict=True):
        wrong = problem(findings, image)
        if wrong:
            raise _error(scorer.name, wrong)
    return found


def _error(scorer: str, what: str) -> ScorerError:
    error = ScorerError(f"Scorer {scorer} {what}.")
    error.scorer = scorer
    return error


def _read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    array.flags.writeable = False
    return array
