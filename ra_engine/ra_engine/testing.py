"""A plugin author's one-line test: ``check_scorer(MyScorer())``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ra_engine.contracts import API_VERSION, Scorer
from ra_engine.errors import ScorerError
from ra_engine.findings import problem
from ra_engine.types import Batch, Finding, Output, Radiograph, ScoredImage, Side
from ra_engine.views import hand_view

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RAYS = ((0.45, 0.2), (0.20, 0.0), (0.05, 0.0), (-0.12, 0.05), (-0.26, 0.1))
"""For each digit from the thumb: sideways place of its ray and how much shorter it is."""


def sample_landmarks(x: float, y: float, span: float) -> NDArray[np.float32]:
    """(21, 2) landmarks of a plausible hand: wrist at (x, y), ``span`` pixels to the knuckle."""
    rays = [
        (x + span * sideways * along, y - span * along * (1 - shorter))
        for sideways, shorter in _RAYS
        for along in (0.25, 1.0, 1.45, 1.95)
    ]
    return np.array([(x, y), *rays], np.float32)


def sample_batch() -> Batch:
    """Four images: two hands, one hand, two hands in a MONOCHROME1 image with a mask, one hand."""
    random = np.random.default_rng(7)
    images = []
    for number, hands in enumerate((2, 1, 2, 1)):
        shape = (320, 200 * hands)
        pixels = random.integers(0, 4096, shape, dtype=np.uint16)
        mask = None
        if number == 2:
            mask = np.zeros(shape, np.bool_)
            mask[:16] = True
        views = tuple(
            replace(
                hand_view(sample_landmarks(90.0 + 200 * k, 290.0, 120.0), index=k),
                side=(Side.IMAGE_LEFT, Side.IMAGE_RIGHT)[k] if hands == 2 else Side.LEFT,
            )
            for k in range(hands)
        )
        radiograph = Radiograph(pixels=pixels, inverted=number == 2, mask=mask)
        images.append(ScoredImage(instance=f"sample-{number}", radiograph=radiograph, views=views))
    return batch_of(images)


def batch_of(images: Sequence[ScoredImage]) -> Batch:
    """The batch of some images, one row for every view."""
    rows = tuple((i, v) for i, image in enumerate(images) for v in range(len(image.views)))
    return Batch(images=tuple(images), rows=rows)


def check_scorer(
    scorer: Scorer, outputs: Mapping[str, Output] | None = None, *, batch: Batch | None = None
) -> None:
    """Check that a scorer keeps its contract.

    Args:
        outputs: by role, arrays for ``batch`` (first axis = ``batch.rows``); needed by a scorer
            that reads a graph, e.g. ``plan(...).outputs(sample_batch())``.
        batch: ``sample_batch()`` when left out.

    Raises:
        ScorerError: the first promise that it breaks: declaration, number and kind of results,
            no change of its input, the same answer again, the same answer in any batch.
    """
    _declared(scorer)
    batch = sample_batch() if batch is None else batch
    given = dict(outputs or {})
    for role, names in scorer.needs.items():
        missing = sorted(set(names) - set(given[role].arrays if role in given else ()))
        if missing:
            raise _broken(scorer, f"needs {', '.join(missing)} of {role!r}: pass them as outputs")
    before = _digest(batch, given)
    first = _score(scorer, batch, given)
    if _digest(batch, given) != before:
        raise _broken(scorer, "changed arrays that it was given")
    if not _same(first, _score(scorer, batch, given)):
        raise _broken(scorer, "gave another answer to the same input")
    backwards = _score(scorer, *_part(batch, given, range(len(batch.images))[::-1]))
    if not _same(first, backwards[::-1]):
        raise _broken(scorer, "does not keep the order of the batch")
    for i in range(len(batch.images)):
        if not _same(first[i : i + 1], _score(scorer, *_part(batch, given, [i]))):
            raise _broken(scorer, "lets an image's result depend on the rest of the batch")


def _declared(scorer: object) -> None:
    if not isinstance(scorer, Scorer):
        error = ScorerError(f"{type(scorer).__name__} lacks name, api_version, needs or score().")
        error.scorer = type(scorer).__name__
        raise error
    name: object = scorer.name
    needs: object = scorer.needs
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _broken(scorer, "needs a name of a-z, 0-9, _ and -")
    if scorer.api_version != API_VERSION:
        raise _broken(scorer, f"is for API {scorer.api_version}; this is {API_VERSION}")
    if not isinstance(needs, Mapping) or any(isinstance(n, str) for n in needs.values()):
        raise _broken(scorer, "must map each role it needs to a list of outputs")


def _score(
    scorer: Scorer, batch: Batch, outputs: Mapping[str, Output]
) -> Sequence[Sequence[Finding]]:
    found: object
    try:
        found = scorer.score(batch, {role: outputs[role] for role in scorer.needs})
    except Exception as error:
        raise _broken(scorer, f"raised {type(error).__name__}: {error}") from error
    if not isinstance(found, Sequence):
        raise _broken(scorer, f"gave a {type(found).__name__}, not a sequence")
    if len(found) != len(batch.images):
        raise _broken(scorer, f"must give {len(batch.images)} results for that many images")
    for image, findings in zip(batch.images, found, strict=True):
        wrong = problem(findings, image)
        if wrong:
            raise _broken(scorer, wrong)
    return found


def _part(
    batch: Batch, outputs: Mapping[str, Output], chosen: Sequence[int]
) -> tuple[Batch, dict[str, Output]]:
    """The batch of the chosen images, in that order, and their rows of every array."""
    part = batch_of([batch.images[i] for i in chosen])
    rows = [batch.rows.index((chosen[i], v)) for i, v in part.rows]
    arrays = {
        role: replace(out, arrays={name: a[rows] for name, a in out.arrays.items()})
        for role, out in outputs.items()
    }
    return part, arrays


def _digest(batch: Batch, outputs: Mapping[str, Output]) -> str:
    digest = hashlib.sha256()
    for array in _arrays(batch, outputs):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(batch: Batch, outputs: Mapping[str, Output]) -> Iterator[NDArray[np.generic]]:
    for image in batch.images:
        yield image.radiograph.pixels
        if image.radiograph.mask is not None:
            yield image.radiograph.mask
        yield from (view.landmarks for view in image.views)
    for role in sorted(outputs):
        yield from outputs[role].arrays.values()


def _same(a: object, b: object) -> bool:
    """Equal to the bit, arrays and nested sequences included."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a) and not isinstance(a, type):
        if type(a) is not type(b):
            return False
        return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return bool(a == b)


def _broken(scorer: Scorer, what: str) -> ScorerError:
    error = ScorerError(f"Scorer {scorer.name!r} {what}.")
    error.scorer = str(scorer.name)
    return error
