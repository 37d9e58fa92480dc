"""Score: eligible hand views become findings; every graph runs once a batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ra_daemon import engines, plugins
from ra_daemon.config import Config
from ra_daemon.domain import Scored
from ra_daemon.errors import ConfigError
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.choose import Chosen
from ra_engine.contracts import Scorer, Session
from ra_engine.errors import BundleError
from ra_engine.locate import Locator
from ra_engine.plan import Plan, plan
from ra_engine.types import Finding, HandView, Located, QualityFlag, Radiograph, ScoredImage, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """An image that passed the gate, and what is known of its laterality."""

    image: ScoredImage
    side: Side
    side_source: str
    conflict: bool


@dataclass(frozen=True, slots=True)
class Models:
    """Loaded sessions: the locator, the score bundle, and one plan for each set of scorers.

    ``threads`` are those of a session on the reference runtime.
    """

    locator: Locator
    bundle: Bundle
    choice: Chosen
    scorers: Mapping[str, Scorer]
    plans: dict[tuple[str, ...], Plan]
    threads: int = 1

    @classmethod
    def load(cls, config: Config, *, pinned: str = "") -> Models:
        """Verify and load what the configuration names.

        Args:
            pinned: see ``engines.chosen``.

        Raises:
            BundleError: a bundle cannot be trusted.
            BackendError: no engine can be had.
            ConfigError: no such bundle.
        """
        scoring = config.scoring
        threads = engines.spec_of(config).threads
        locator = load_bundle(plugins.bundle_path(scoring.locator, config.root))
        bundle = load_bundle(plugins.bundle_path(scoring.bundle, config.root))
        scorers, _broken = plugins.scorers(scoring.plugins)
        choice = engines.chosen(config, bundle, pinned=pinned)
        return cls(
            # The gate's decisions are thresholds of their own: they stay on the reference.
            locator=Locator(engines.reference(locator.graph, threads=threads), locator),
            bundle=bundle,
            choice=choice,
            scorers=scorers,
            plans={},
            threads=threads,
        )

    def prove(self) -> None:
        """Run the score graph once, on nothing: a device may take a graph and still not compute it.

        Raises:
            BackendError: it does not compute.
        """
        spec = self.bundle.manifest.preprocessing.spec()
        self.session.run(np.zeros((1, 1, spec.rows, spec.columns), np.float32))

    @property
    def session(self) -> Session:
        """The session of the score graph."""
        return self.choice.session

    @property
    def engine(self) -> engines.EngineState:
        """What runs the score graph."""
        return engines.state_of(self.choice)

    def locate(self, radiograph: Radiograph) -> Located:
        """Find the hands."""
        return self.locator.locate(radiograph)

    def score(
        self, batch: Sequence[Gated], scorers: tuple[str, ...], on_scorer: Callable[[str], None]
    ) -> list[Scored]:
        """Score a batch; results do not depend on its composition.

        Raises:
            ScorerError: a scorer failed on this batch; it names the scorer.
        """
        chosen = self.plans.get(scorers)
        if chosen is None:
            chosen = self._plan(chosen_scorers(self.scorers, scorers))
            self.plans[scorers] = chosen
        found = chosen.run([g.image for g in batch], on_scorer=on_scorer)
        return [_scored(g, findings) for g, findings in zip(batch, found, strict=True)]

    def _plan(self, scorers: Sequence[Scorer]) -> Plan:
        """An engine is chosen for the configured bundle; others run on the reference."""
        others = [
            (b, engines.reference(b.graph, threads=self.threads))
            for b in bundles_beside(self.bundle, scorers)
        ]
        return plan(scorers, [(self.bundle, self.session), *others])


def bundles_beside(bundle: Bundle, scorers: Sequence[Scorer]) -> list[Bundle]:
    """Installed bundles that serve what third parties' scorers need and ``bundle`` lacks."""
    serving = [bundle]
    for scorer in scorers:
        lacking = set(scorer.needs) - {role for b in serving for role in b.manifest.roles}
        for folder in plugins.bundles_beside(scorer.name) if lacking else ():
            try:
                other = load_bundle(folder)
            except BundleError:
                continue  # doctor tells of it; the scorer's own error names the role
            if lacking & set(other.manifest.roles):
                serving.append(other)
                lacking -= set(other.manifest.roles)
    return serving[1:]


def chosen_scorers(known: Mapping[str, Scorer], names: Sequence[str]) -> list[Scorer]:
    """The scorers of those names.

    Raises:
        ConfigError: one is not installed or is broken.
    """
    missing = [n for n in names if n not in known]
    if missing:
        raise ConfigError(
            f"No scorer {', '.join(missing)}; installed: {', '.join(sorted(known)) or 'none'}.",
            hint="Run ra-daemon plugins list: it shows broken plugins and why.",
        )
    return [known[n] for n in names]


def pipeline_digest(config: Config, scorers: Sequence[str], gate_version: str) -> str:
    """sha256 over everything that decides a result but the engine.

    Raises:
        BundleError: a bundle cannot be trusted.
    """
    bundle = load_bundle(plugins.bundle_path(config.scoring.bundle, config.root))
    locator = load_bundle(plugins.bundle_path(config.scoring.locator, config.root))
    known, _broken = plugins.scorers(config.scoring.plugins)
    origins = plugins.scorer_origins()
    chosen = chosen_scorers(known, scorers)
    parts: dict[str, object] = {
        "bundle": bundle.digest,
        "locator": locator.digest,
        "gate": gate_version,
        "scorers": [f"{s.name}/{s.api_version}/{origins[s.name]}" for s in chosen],
    }
    beside = bundles_beside(bundle, chosen)
    if beside:
        parts["beside"] = [b.digest for b in beside]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_demonstration(config: Config) -> bool:
    """Whether the configured bundle is a demonstration.

    Raises:
        BundleError: it cannot be trusted.
    """
    bundle = load_bundle(plugins.bundle_path(config.scoring.bundle, config.root))
    return bundle.manifest.intended_use == "demonstration"


def with_sides(
    views: Sequence[HandView], side: Side, source: str, *, conflict: bool
) -> tuple[HandView, ...]:
    """Name the side of every view: the tag for one hand, the place in the image for two.

    Which side of the film a thumb points to proves nothing, so two hands are told apart by place
    only; where tag and pixels conflict, or the place tells nothing (``source`` is "none"), no side
    is named and only the total is given.
    """
    if len(views) == 1:
        return (replace(views[0], side=side, side_source=source),)
    places = (Side.IMAGE_LEFT, Side.IMAGE_RIGHT)
    named = source == "position" and not conflict
    return tuple(
        replace(v, side=places[v.index] if named else Side.UNKNOWN, side_source=source)
        for v in views
    )


def _scored(gated: Gated, findings: Sequence[Finding]) -> Scored:
    extra: list[Finding] = []
    if gated.conflict:
        text = "Tags and image, or tags among themselves, dispute the side: total only."
        extra.append(QualityFlag(code="laterality_conflict", text=text))
    views = gated.image.views
    if len(views) == 2 and gated.side_source == "none":
        text = "The hands lie one above the other in the image: no side is named, total only."
        extra.append(QualityFlag(code="sides_unnamed", text=text))
    hands = "both" if len(views) == 2 else (views[0].side.value if views else "unknown")
    return Scored(
        views=views,
        findings=(*findings, *extra),
        laterality=gated.side,
        laterality_source=gated.side_source,
        hands=hands,
    )
