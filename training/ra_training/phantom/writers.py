"""Write one sample in one of the formats of ``ra-train phantom``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ra_training.phantom.cohort import Sample
from ra_training.phantom.dicom import write_dicom


def write(sample: Sample, out: Path, form: str, sop_class: str) -> str:
    """Write a sample; return the file's name relative to ``out``."""
    stem = f"{sample.patient_id}_{sample.visit}"
    if form == "dicom":
        write_dicom(sample, out / f"{stem}.dcm", sop_class=sop_class)  # type: ignore[arg-type]
        return f"{stem}.dcm"
    shown = (sample.exposure.display() * 255).round().astype(np.uint8)
    if form == "png":
        Image.fromarray(shown).save(out / f"{stem}.png")
        return f"{stem}.png"
    return _ram_h1200(sample, shown, out, stem)


def _ram_h1200(
    sample: Sample, shown: np.ndarray[tuple[int, int], np.dtype[np.uint8]], out: Path, stem: str
) -> str:
    """One folder a hand with a crop a joint, scores in the data set's JSON files."""
    for hand in sample.exposure.hands:
        case = f"{stem}_{hand.side[0].upper()}"
        for kind, prefix in (("BE", "be"), ("JSN", "jsn")):
            root = out / f"SvdH_{kind}_Scoring" / "train"
            folder = root / case
            folder.mkdir(parents=True, exist_ok=True)
            scores: dict[str, int] = {}
            for site, (x0, y0, x1, y1) in hand.joint_boxes.items():
                if not site.startswith(f"{kind}_"):
                    continue
                crop = Image.fromarray(shown).crop((round(x0), round(y0), round(x1), round(y1)))
                crop.save(folder / f"{site.removeprefix(kind + '_')}.bmp")
                scores[site] = hand.grades.grade(site)
            table = root / f"_annotation_{prefix}_scores.json"
            known = json.loads(table.read_text()) if table.exists() else {}
            known[f"{case}.bmp"] = scores
            table.write_text(json.dumps(known, indent=1, sort_keys=True))
    return f"{stem}"
