"""The inbox: a received file, and beside it who sent it."""

from __future__ import annotations

import json
from pathlib import Path

from ra_daemon.domain import Origin


def sidecar(path: Path) -> Path:
    """The file that tells the origin of ``path``."""
    return path.with_suffix(".json")


def dump_origin(origin: Origin) -> bytes:
    """The sidecar's bytes."""
    fields = {"calling_ae": origin.calling_ae, "called_ae": origin.called_ae}
    return json.dumps({**fields, "address": origin.address}, sort_keys=True).encode()


def read_origin(path: Path) -> Origin:
    """Who sent a received file; unknown when the sidecar is gone."""
    try:
        held = json.loads(sidecar(path).read_text())
        return Origin(**{k: str(held[k]) for k in ("calling_ae", "called_ae", "address")})
    except (OSError, ValueError, KeyError, TypeError):
        return Origin()
