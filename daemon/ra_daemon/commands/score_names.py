"""Names of the objects that ``ra-daemon score`` writes: none hides an object of another image."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

ENDINGS = {"sr": ".sr.dcm", "capture": ".heatmap.dcm"}


class Names:
    """Gives each source of a run a name of its own; a later run gives it the same one.

    Args:
        out: folder of the objects; None puts them beside their sources.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._taken: dict[Path, Path] = {}

    def of(self, source: Path, sop_instance_uid: str) -> dict[str, Path]:
        """Path of each kind of object: NAME, or NAME-2, NAME-3 where others hold that."""
        folder, whole = self._out or source.parent, source.resolve()
        for number in itertools.count(1):
            stem = source.stem if number == 1 else f"{source.stem}-{number}"
            paths = {kind: folder / f"{stem}{ending}" for kind, ending in ENDINGS.items()}
            owner = self._taken.get(paths["sr"].resolve(), whole)
            if owner == whole and all(_is_free(p, sop_instance_uid) for p in paths.values()):
                self._taken[paths["sr"].resolve()] = whole
                return paths
        raise AssertionError("unreachable")


def _is_free(path: Path, sop_instance_uid: str) -> bool:
    """Whether nothing has this name but, at most, an object that was made of this image."""
    return not path.is_file() or sop_instance_uid in _origins(path)


def _origins(path: Path) -> set[str]:
    """The images that one of our objects says it was made of; none of a file that is not ours."""
    from pydicom import dcmread

    wanted = ("CurrentRequestedProcedureEvidenceSequence", "SourceImageSequence", "Manufacturer")
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=list(wanted))
        if ds.get("Manufacturer") != _manufacturer():
            return set()
        return {str(uid) for name in wanted[:2] for uid in _uids(ds.get(name) or ())}
    except Exception:  # noqa: BLE001 - what cannot be read is not ours to replace
        return set()


def _manufacturer() -> str:
    from ra_daemon.dicom.common import MANUFACTURER

    return MANUFACTURER


def _uids(items: Any) -> list[Any]:
    """Referenced SOP Instance UIDs of sequence items, at any depth."""
    found = []
    for item in items:
        for element in item:
            if element.VR == "SQ":
                found += _uids(element.value)
            elif element.keyword == "ReferencedSOPInstanceUID":
                found.append(element.value)
    return found
