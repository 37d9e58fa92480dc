"""What a generated cohort's files tell besides the picture: input of the shortcut audit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass

from ra_training.phantom import generate
from ra_training.phantom.cohort import Sample
from ra_training.phantom.film import draw_tube
from ra_training.phantom.grades import Prior
from ra_training.phantom.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """Attributes by name, totals and patients of one cohort, image by image."""

    attributes: dict[str, list[float | str]]
    totals: list[float]
    patients: list[str]


def acquisition(n: int, seed: int, *, prior: Prior = "clinic", height: int = 160) -> Acquisition:
    """Render ``n`` two-hand radiographs and keep all that is not the picture.

    Every setting of the tube and film (exposure, blur, tone, collimation, bits, marker), the
    header's values (photometric interpretation, spacing, size, window, date) and sex and age.
    """
    attributes: dict[str, list[float | str]] = defaultdict(list)
    totals, patients = [], []
    for made in generate(n, seed, prior=prior, height=height):
        for name, value in {**_tube(made), **_header(made)}.items():
            attributes[name].append(value)
        totals.append(float(made.grades.total))
        patients.append(made.patient_id)
    return Acquisition(attributes=dict(attributes), totals=totals, patients=patients)


def _tube(made: Sample) -> dict[str, float | str]:
    """Settings of the exposure, by the names of ``film.Tube``; a tuple gives one value a part."""
    shot = int(stream(made.subject_seed, "shot", made.visit - 1, 0).integers(2**31))
    facts: dict[str, float | str] = {}
    for name, value in asdict(draw_tube(shot, made.exposure.pixels.shape[0])).items():
        parts = value if isinstance(value, tuple) else (value,)
        for i, part in enumerate(parts):
            key = f"{name}-{i}" if len(parts) > 1 else name
            facts[key] = float(part) if isinstance(part, float | int) else str(part)
    return facts


def _header(made: Sample) -> dict[str, float | str]:
    film = made.exposure
    return {
        "photometric": film.photometric,
        "stored-bits": float(film.bits),
        "spacing": film.spacing_mm,
        "rows": float(film.pixels.shape[0]),
        "columns": float(film.pixels.shape[1]),
        "window": film.window[1],
        "sex": "F" if film.female else "M",
        "age": made.age,
        "date": float(made.study_date.toordinal()),
    }
