"""A model bundle: a folder whose every file is hashed; nothing is read before its hash holds."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ra_engine.contracts import Session
from ra_engine.errors import BundleError
from ra_engine.external import has_external_data
from ra_engine.manifest import Manifest
from ra_engine.types import ModelRef

SUMS = "SHA256SUMS"
MANIFEST = "manifest.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified bundle. ``digest`` is the sha256 of its SHA256SUMS."""

    path: Path
    digest: str
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name by manifest."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Version by manifest."""
        return self.manifest.version

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.path / self.manifest.graph.file

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return self.manifest.graph.outputs

    def reference(self, session: Session) -> ModelRef:
        """How results name this model when ``session`` ran it."""
        m = self.manifest
        return ModelRef(
            bundle=m.name,
            version=m.version,
            digest=self.digest,
            engine=session.key,
            precision=session.precision,
            device=session.device,
            preprocessing=m.preprocessing.spec().digest,
            intended_use=m.intended_use,
        )


def load_bundle(path: Path) -> Bundle:
    """Verify every file of a bundle, then read its manifest.

    Raises:
        BundleError: a file is missing, unlisted (in a subfolder too) or changed, the graph keeps
            weights outside of itself, or the manifest is not valid.
    """
    sums = path / SUMS
    if not sums.is_file():
        raise BundleError(f"{path} is no bundle: {SUMS} is missing.")
    raw = sums.read_bytes()
    listed = _listed(raw.decode(errors="replace"), path)
    present = _present(path)
    for what, names in (
        ("missing", listed.keys() - present),
        ("not listed", present - listed.keys()),
    ):
        if names:
            raise BundleError(f"Bundle {path.name}: {', '.join(sorted(names))} {what}.")
    for name, digest in sorted(listed.items()):
        if hashlib.sha256((path / name).read_bytes()).hexdigest() != digest:
            raise BundleError(f"Bundle {path.name}: {name} is not the file that was signed off.")
    manifest = _manifest(path)
    named = {manifest.graph.file, *([manifest.locator.statistics] if manifest.locator else [])}
    if not named <= listed.keys():
        absent = ", ".join(sorted(named - listed.keys()))
        raise BundleError(f"Bundle {path.name}: its manifest names {absent}, which it lacks.")
    if has_external_data(path / manifest.graph.file):  # the digest of the graph would not cover it
        raise BundleError(
            f"Bundle {path.name}: {manifest.graph.file} keeps weights in other files.",
            hint="Save the model as one file: onnx.save(onnx.load(PATH), NEW).",
        )
    return Bundle(path=path, digest=hashlib.sha256(raw).hexdigest(), manifest=manifest)


def write_sums(path: Path) -> str:
    """Write SHA256SUMS over all other files of a folder; return the bundle's digest.

    Subfolders are left out: ``load_bundle`` refuses what lies in them.
    """
    names = sorted(p.name for p in path.iterdir() if p.is_file() and p.name != SUMS)
    lines = [f"{hashlib.sha256((path / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    text = "".join(lines)
    (path / SUMS).write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def _present(path: Path) -> set[str]:
    """Everything below but folders; a link to a folder counts, for files could hide behind it."""
    found = (p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
    return {p.relative_to(path).as_posix() for p in found} - {SUMS}


def _listed(text: str, path: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise BundleError(f"Bundle {path.name}: {SUMS} has a bad line {line!r}.")
        listed[name] = digest
    if MANIFEST not in listed:
        raise BundleError(f"Bundle {path.name}: {SUMS} does not list {MANIFEST}.")
    return listed


def _manifest(path: Path) -> Manifest:
    try:
        with (path / MANIFEST).open("rb") as stream:
            return Manifest.model_validate(tomllib.load(stream))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"Bundle {path.name}: {MANIFEST} is no TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise BundleError(f"Bundle {path.name}: {MANIFEST}, {where}: {first['msg']}.") from error
