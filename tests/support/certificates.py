"""A small certificate authority, made by openssl for one test run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.peers import require_tool


def authority(folder: Path, name: str = "ca") -> Path:
    """A self-signed authority; returns its certificate, the key lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=Test {name}",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    )  # fmt: skip
    return folder / f"{name}.pem"


def certificate(folder: Path, name: str, ca: Path) -> tuple[Path, Path]:
    """A certificate for ``name`` signed by an authority; (certificate, key)."""
    request, key, made = (folder / f"{name}.{end}" for end in ("csr", "key", "pem"))
    extra = folder / f"{name}.ext"
    extra.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
             "-keyout", key, "-out", request)  # fmt: skip
    _openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"),
             "-CAcreateserial", "-days", "2", "-extfile", extra, "-out", made)  # fmt: skip
    return made, key


def _openssl(*words: object) -> None:
    program = require_tool("openssl", "openssl")
    subprocess.run([str(program), *map(str, words)], check=True, capture_output=True, timeout=60)
