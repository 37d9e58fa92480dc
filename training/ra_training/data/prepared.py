"""Arrays that training reads: prepared once, kept with hashes, mapped into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ra_training.data.sample import Sample
from ra_training.errors import TrainingError

Unit = Literal["image", "hand"]
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Images of one unit and size with their samples, in the same order.

    Attributes:
        pixels: (n, rows, columns) uint8, tone 0..255 before standardisation, maybe memory-mapped.
    """

    pixels: NDArray[np.uint8]
    samples: tuple[Sample, ...]
    unit: Unit

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.samples):
            raise ValueError(f"{len(self.pixels)} images, {len(self.samples)} samples")

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: Sequence[int]) -> Prepared:
        """Some of the images, in the order asked for."""
        return Prepared(
            pixels=self.pixels[np.asarray(rows, np.intp)],
            samples=tuple(self.samples[i] for i in rows),
            unit=self.unit,
        )

    def targets(self, name: Literal["score", "months"]) -> NDArray[np.float32]:
        """(n,) labels.

        Raises:
            TrainingError: an image has none.
        """
        values = [getattr(s, name) for s in self.samples]
        missing = [s.key for s, v in zip(self.samples, values, strict=True) if v is None]
        if missing:
            raise TrainingError(
                code="label-missing",
                text=f"{len(missing)} of {len(values)} images have no {name}, first {missing[0]}",
                hint=f"leave them out, or give a set with {name}",
            )
        return np.array(values, np.float32)

    def digest(self) -> str:
        """sha256 over every pixel, and over key, patient and labels of every image."""
        found = hashlib.sha256(f"{self.unit} {self.pixels.shape}\n".encode())
        for s in self.samples:
            found.update(f"{s.key}\t{s.patient_id}\t{s.score}\t{s.months}\n".encode())
        for image in self.pixels:
            found.update(np.ascontiguousarray(image).data)
        return found.hexdigest()

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write ``pixels.npy`` and ``manifest.json``; ``facts`` say how the pixels were made."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "pixels.tmp.npy"
        np.save(temporary, self.pixels)
        digest = _sha256(temporary)
        temporary.rename(folder / "pixels.npy")
        rows = [{**asdict(s), "image": str(s.image) if s.image else None} for s in self.samples]
        manifest = {
            "schema": SCHEMA, "unit": self.unit, "facts": facts, "pixels_sha256": digest,
            "samples": rows,
        }  # fmt: skip
        text = json.dumps(manifest, indent=0, sort_keys=True)
        (folder / "manifest.tmp").write_text(text, encoding="utf-8")
        (folder / "manifest.tmp").rename(folder / "manifest.json")


def load(folder: Path, facts: dict[str, Any] | None = None) -> Prepared:
    """Map a saved set into memory, after its hash was compared.

    Args:
        facts: what the caller expects of the making; a set made otherwise is stale.

    Raises:
        TrainingError: nothing there, changed since it was written, or stale.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise TrainingError(
            code="cache-missing", text=f"no prepared set in {folder.name}", hint="prepare it first"
        )
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("schema") != SCHEMA or (facts is not None and manifest["facts"] != facts):
        raise TrainingError(
            code="cache-stale",
            text=f"the prepared set in {folder.name} was made in another way",
            hint="remove the folder, or name another one",
        )
    if _sha256(folder / "pixels.npy") != manifest["pixels_sha256"]:
        raise TrainingError(
            code="cache-changed",
            text=f"pixels.npy in {folder.name} is not what was written",
            hint="remove the folder and prepare the set again",
        )
    samples = tuple(
        Sample(**{**row, "image": Path(row["image"]) if row["image"] else None})
        for row in manifest["samples"]
    )
    pixels: NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
    return Prepared(pixels=pixels, samples=samples, unit=manifest["unit"])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
