"""From samples to ``Prepared``: decoded and prepared as in serving, in processes, resumable."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ra_engine.prepare import Preprocessing, prepare_hand, prepare_image
from ra_engine.types import HandView, Located, Radiograph
from ra_training.data.pixels import read_image
from ra_training.data.prepared import Prepared, Unit, load
from ra_training.data.report import Refusal
from ra_training.data.sample import Hands, Sample
from ra_training.errors import TrainingError

Convention = Literal["", "left", "right"]
_CHUNK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How images become arrays.

    Attributes:
        image_left: which hand lies at the image's left edge where a radiograph shows both, by the
            set's convention; "" when nobody knows, and such radiographs give no hands.
        locator: folder of the locator bundle, for ``hand``; None takes the installed one.
    """

    unit: Unit
    rows: int
    columns: int
    image_left: Convention = ""
    locator: Path | None = None

    @property
    def spec(self) -> Preprocessing:
        """Tones as in serving."""
        return Preprocessing(
            kind="hand_view" if self.unit == "hand" else "letterbox",
            rows=self.rows,
            columns=self.columns,
        )

    def facts(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """What decides every byte: preprocessing, locator, samples and the content of files."""
        rows = [{**_plain(s), "image": _digest(s.image)} for s in samples]
        text = json.dumps(rows, sort_keys=True)
        return {
            "unit": self.unit, "preprocessing": self.spec.digest, "image_left": self.image_left,
            "locator": _bundle(self.locator)[1] if self.unit == "hand" else "",
            "samples_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A prepared set and the images that gave none."""

    prepared: Prepared
    refused: tuple[Refusal, ...]


def make(samples: Sequence[Sample], making: Making, folder: Path, *, processes: int = 2) -> Made:
    """Prepare samples, from ``folder`` when they lie there.

    A run that was cut off goes on with the parts that it finished. A hand of a two-hand image is
    named ``KEY#left`` or ``KEY#right`` and has the sum of its own joints as its score.

    Raises:
        TrainingError: what lies in the folder was made otherwise or changed; nothing was prepared.
    """
    facts = making.facts(samples)
    if (folder / "manifest.json").exists():
        return Made(prepared=load(folder, facts), refused=_refusals(folder))
    parts = folder / "parts"
    _begin(parts, facts)
    chunks = [
        (i, tuple(samples[i : i + _CHUNK]), making, parts)
        for i in range(0, len(samples), _CHUNK)
        if not _complete(parts, i)
    ]
    if processes > 1 and len(chunks) > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for _ in pool.map(_chunk, chunks):
                pass
    else:
        for chunk in chunks:
            _chunk(chunk)
    return _join(folder, parts, making, facts, range(0, len(samples), _CHUNK))


def _begin(parts: Path, facts: dict[str, Any]) -> None:
    note = parts / "facts.json"
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != facts:
        raise TrainingError(
            code="cache-stale",
            text=f"{parts.parent.name} holds the beginning of another set",
            hint="remove the folder, or name another one",
        )
    parts.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(facts), encoding="utf-8")


def _complete(parts: Path, start: int) -> bool:
    return (parts / f"{start:08d}.json").is_file()


def _join(folder: Path, parts: Path, making: Making, facts: dict[str, Any], starts: range) -> Made:
    pixels, samples, refused = [], [], []
    for start in starts:
        held = json.loads((parts / f"{start:08d}.json").read_text(encoding="utf-8"))
        pixels.append(np.load(parts / f"{start:08d}.npy"))
        samples += [_sample(row) for row in held["samples"]]
        refused += [Refusal(**row) for row in held["refused"]]
    if not samples:
        raise TrainingError(
            code="set-empty",
            text=f"none of {len(refused)} images could be prepared",
            hint=refused[0].hint if refused else "give samples",
        )
    made = Prepared(pixels=np.concatenate(pixels), samples=tuple(samples), unit=making.unit)
    (folder / "refused.json").write_text(
        json.dumps([asdict(r) for r in refused], indent=1), encoding="utf-8"
    )
    made.save(folder, facts)
    shutil.rmtree(parts)
    return Made(prepared=load(folder, facts), refused=tuple(refused))


def _refusals(folder: Path) -> tuple[Refusal, ...]:
    path = folder / "refused.json"
    if not path.is_file():
        return ()
    return tuple(Refusal(**row) for row in json.loads(path.read_text(encoding="utf-8")))


def _chunk(job: tuple[int, tuple[Sample, ...], Making, Path]) -> None:
    """Write one part: arrays first, then the note that says it is whole."""
    start, samples, making, parts = job
    find = _Finder(making.locator) if making.unit == "hand" else None
    tones: list[NDArray[np.uint8]] = []
    kept, refused = [], []
    for sample in samples:
        try:
            for tone, own in _views(sample, making, find):
                tones.append(tone)
                kept.append(own)
        except TrainingError as error:
            refused.append(
                Refusal(where=sample.key, code=error.code, reason=error.text, hint=error.hint)
            )
    shape = (0, making.rows, making.columns)
    np.save(parts / f"{start:08d}.npy", np.stack(tones) if tones else np.zeros(shape, np.uint8))
    note = {"samples": [_plain(s) for s in kept], "refused": [asdict(r) for r in refused]}
    temporary = parts / f"{start:08d}.tmp"
    temporary.write_text(json.dumps(note), encoding="utf-8")
    temporary.rename(parts / f"{start:08d}.json")


class _Finder:
    """The locator, loaded once a part."""

    def __init__(self, path: Path | None) -> None:
        from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
        from ra_engine.bundle import load_bundle
        from ra_engine.locate import Locator
        from ra_engine.spec import EngineSpec

        bundle = load_bundle(_bundle(path)[0])
        self._locator = Locator(OnnxRuntimeBackend().load(bundle.graph, EngineSpec()), bundle)

    def __call__(self, radiograph: Radiograph) -> Located:
        return self._locator.locate(radiograph)


def _views(
    sample: Sample, making: Making, find: _Finder | None
) -> Iterator[tuple[NDArray[np.uint8], Sample]]:
    if sample.image is None:
        raise TrainingError(
            code="image-missing",
            text="the sample has no image file",
            hint="generated images are prepared by ra_training.data.generated",
        )
    radiograph = read_image(sample.image)
    if find is None:
        yield _bytes(prepare_image(radiograph, making.spec)[0][0], making.spec), sample
        return
    for view, own in _hands(sample, find(radiograph).hands, making.image_left):
        yield _bytes(prepare_hand(radiograph, view, making.spec)[0], making.spec), own


def _hands(
    sample: Sample, views: tuple[HandView, ...], image_left: Convention
) -> list[tuple[HandView, Sample]]:
    """Which view is which hand, and the label that it may carry."""
    expected = 2 if sample.hands == "both" else 1
    if sample.hands == "unknown" and len(views) == 2:
        raise _undecided("hands are unknown and the image shows two", "state the hands column")
    if len(views) != expected:
        raise _undecided(f"{len(views)} hands found, {expected} expected", "look at the image")
    if expected == 1:
        return [(views[0], sample)]
    if not image_left:
        raise _undecided("which hand lies left in the image is unknown", "state image_left")
    sides: tuple[Hands, Hands] = ("left", "right") if image_left == "left" else ("right", "left")
    return [(v, _half(sample, side)) for v, side in zip(views, sides, strict=True)]


def _half(sample: Sample, side: Hands) -> Sample:
    """One hand of a two-hand image; a total of both cannot be split, its joints can."""
    letter = side[0].upper()
    joints = {k: v for k, v in sample.joints.items() if k[0] == letter}
    if sample.score is not None and len(joints) != 31:
        raise _undecided("a total of both hands has no half", "give joints or prepare images")
    score = sum(joints.values()) if sample.score is not None else None
    return replace(
        sample, key=f"{sample.key}#{side}", hands=side, score=score, joints=joints, readers={}
    )


def _undecided(text: str, hint: str) -> TrainingError:
    return TrainingError(code="hands-undecided", text=text, hint=hint)


def _bytes(tensor: NDArray[np.float32], spec: Preprocessing) -> NDArray[np.uint8]:
    tones = np.clip(tensor * spec.std + spec.mean, 0, 1)
    found: NDArray[np.uint8] = np.rint(tones * 255).astype(np.uint8)
    return found


def _bundle(path: Path | None) -> tuple[Path, str]:
    """The locator's folder and the digest of its hash list."""
    if path is None:
        from ra_engine.registry import BUNDLES, points

        found = next((p for p in points(BUNDLES) if p.name == "locator"), None)
        if found is None:
            raise TrainingError(
                code="locator-missing", text="no locator is installed", hint="name its folder"
            )
        path = Path(found.load()())
    return path, hashlib.sha256((path / "SHA256SUMS").read_bytes()).hexdigest()


def _digest(path: Path | None) -> str:
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(sample: Sample) -> dict[str, Any]:
    return {**asdict(sample), "image": str(sample.image) if sample.image else None}


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(**{**row, "image": Path(row["image"]) if row["image"] else None})
