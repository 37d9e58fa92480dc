"""One left and one right hand, scored by the real scorers: as two images, and as one of both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ra_daemon import plugins
from ra_daemon.domain import Scored
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.manifest import Manifest
from ra_engine.testing import batch_of
from ra_engine.types import Finding, ModelRef, Output, Radiograph, ScoredImage, Side
from ra_plugins.severity import SeverityScorer
from ra_plugins.svdh import SvdhScorer
from tests.support.scored import MODEL, view

RADIOGRAPH = Radiograph(pixels=np.zeros((8, 8), np.uint16))
SOURCES = {Side.LEFT: "ImageLaterality", Side.RIGHT: "Laterality"}


def demo() -> Bundle:
    """The demonstration bundle that is installed."""
    return load_bundle(plugins.bundle_path("demo"))


def model_of(bundle: Bundle) -> ModelRef:
    """How results name a bundle, without running it."""
    m = bundle.manifest
    return replace(
        MODEL, bundle=m.name, version=m.version, digest=bundle.digest, intended_use=m.intended_use
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a graph of hands says: one row for the left hand, one for the right."""

    members: NDArray[np.float32]
    score: NDArray[np.float32]
    class_logits: NDArray[np.float32]

    @classmethod
    def drawn(cls, manifest: Manifest, seed: int) -> Hands:
        """Random rows; some scores lie outside the scale, as a graph's may."""
        assert manifest.score is not None
        assert manifest.severity is not None
        random = np.random.default_rng(seed)
        scores = random.uniform(-5, 60, (2, 1))
        members = scores + random.normal(0, 2, (2, len(manifest.score.members)))
        steps = len(manifest.severity.edges_hand or manifest.severity.edges_both)
        logits = np.sort(random.normal(0, 4, (2, steps)), axis=1)[:, ::-1]
        return cls(
            members=members.astype(np.float32),
            score=members.mean(1).astype(np.float32),
            class_logits=logits.astype(np.float32),
        )

    def apart(self, manifest: Manifest, model: ModelRef) -> tuple[Scored, Scored]:
        """Verdicts on two images of one hand each, left and right."""
        left, right = (
            _scored([side], [row], self, manifest, model)
            for row, side in enumerate((Side.LEFT, Side.RIGHT))
        )
        return left, right

    def together(self, manifest: Manifest, model: ModelRef) -> Scored:
        """The verdict on one image of both hands."""
        return _scored([Side.IMAGE_LEFT, Side.IMAGE_RIGHT], [0, 1], self, manifest, model)


def _scored(
    sides: list[Side], rows: list[int], hands: Hands, manifest: Manifest, model: ModelRef
) -> Scored:
    sources = [SOURCES.get(side, "position") for side in sides]
    views = tuple(replace(view(i, side), side_source=sources[i]) for i, side in enumerate(sides))
    batch = batch_of([ScoredImage(instance="one", radiograph=RADIOGRAPH, views=views)])
    arrays = {
        "members": hands.members[rows],
        "score": hands.score[rows],
        "class_logits": hands.class_logits[rows],
    }
    output = Output(role="svdh", arrays=arrays, model=model, manifest=manifest.model_dump())
    findings: list[Finding] = []
    for scorer, role in ((SvdhScorer(), "svdh"), (SeverityScorer(), "severity")):
        findings += scorer.score(batch, {role: output})[0]
    return Scored(
        views=views,
        findings=tuple(findings),
        laterality=Side.UNKNOWN if len(sides) == 2 else sides[0],
        laterality_source=sources[0],
        hands="both" if len(sides) == 2 else sides[0].value,
    )
