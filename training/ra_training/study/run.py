"""One run of a study: a folder with its configuration, predictions, marker and hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ra_training.data.prepared import Prepared
from ra_training.errors import TrainingError
from ra_training.study.plan import Spec, done
from ra_training.study.sets import Sets

Progress = Callable[[int, int, float], None]
PREDICTIONS = "predictions.npz"
WEIGHTS = "member.safetensors"


def execute(
    spec: Spec, sets: Sets, root: Path, *, data_digest: str, minutes: float | None = None,
    progress: Progress | None = None,
) -> bool:  # fmt: skip
    """Do a run, or what is left of it; a finished one is checked and left as it is.

    Returns:
        Whether it is finished; False when the time was up, the next call goes on.

    Raises:
        TrainingError: the folder holds a run of another configuration or other data, or its
            predictions were changed.
    """
    folder = root / "runs" / spec.key
    table = _table(spec, sets)
    start = _start(spec, root)
    digest = _digest({"table": table, "needs": start, "fold": spec.fold, "data": data_digest})
    if _finished(spec, folder, root, digest):
        return True
    from ra_training.zoo.config import resolve
    from ra_training.zoo.loop import fit, predict

    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "started.json"
    if marker.exists() and json.loads(marker.read_text())["digest"] != digest:
        raise _other(spec)
    _write(marker, {"digest": digest})
    if spec.needs is not None:
        table["weights"] = str(root / "runs" / spec.needs / WEIGHTS)
    config = resolve(table)
    train, valid, rows = _split(spec, sets)
    found = fit(config, train, valid, folder, minutes=minutes, progress=progress)
    if not found.done:
        return False
    arrays: dict[str, Any] = {
        "rows": rows,
        "valid": found.predictions,
        "valid_logits": found.logits,
    }
    if spec.stage != "pretrain":
        for name, part in (("calibrate", sets.calibrate), ("test", sets.test)):
            arrays[name], arrays[f"{name}_logits"] = predict(
                found.weights, part, device=config.device
            )
    np.savez(folder / PREDICTIONS, **arrays)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    _write(
        folder / "done.json",
        {
            "digest": digest, "seconds": round(found.seconds, 1), "step": found.step,
            "predictions_sha256": _sha256(folder / PREDICTIONS),
            "weights_sha256": _sha256(found.weights),
        },
    )  # fmt: skip
    marker.unlink()
    return True


def _table(spec: Spec, sets: Sets) -> dict[str, Any]:
    table = dict(spec.table)
    if spec.stage == "class":
        table |= {"edges": list(sets.edges), "values": list(sets.values)}
    return table


def _start(spec: Spec, root: Path) -> str | None:
    """sha256 of the weights that a run starts from: another pretraining is another run."""
    if spec.needs is None:
        return None
    weights = root / "runs" / spec.needs / WEIGHTS
    return _sha256(weights) if weights.exists() else spec.needs


def _split(spec: Spec, sets: Sets) -> tuple[Prepared, Prepared, np.ndarray[Any, Any]]:
    """Training part, validation part, and the validation's rows in their set."""
    if spec.stage == "pretrain":
        assert sets.pretrain is not None
        from ra_training.study.folds import folds

        whole = sets.pretrain
        out = folds([s.patient_id for s in whole.samples], 10) == 0
    else:
        whole = sets.train
        out = sets.fold == spec.fold
    rows = np.flatnonzero(out)
    kept = np.flatnonzero(~out)
    return whole.take(kept.tolist()), whole.take(rows.tolist()), rows


def _finished(spec: Spec, folder: Path, root: Path, digest: str) -> bool:
    marker = done(root, spec)
    if marker is None:
        return False
    if marker["digest"] != digest:
        raise _other(spec)
    for name, known in ((PREDICTIONS, "predictions_sha256"), (WEIGHTS, "weights_sha256")):
        if _sha256(folder / name) != marker[known]:
            raise TrainingError(
                code="run-damaged", text=f"{name} of {spec.key} was changed",
                hint="remove the run's folder; it is then done again",
            )  # fmt: skip
    return True


def _other(spec: Spec) -> TrainingError:
    return TrainingError(
        code="run-other",
        text=f"the folder of {spec.key} holds a run of another configuration or other data",
        hint="name another output folder, or remove that run",
    )


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(path: Path, facts: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
    temporary.rename(path)
