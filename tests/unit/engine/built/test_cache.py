"""The cache hands out only engines that this node built, whole and unchanged."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.build import BuiltEngine, build, open_built
from ra_engine.cache import EngineCache
from ra_engine.errors import EngineFileError
from ra_engine.spec import EngineSpec
from tests.support.engines import GRAPH, FakeCompiler, samples

SPEC = EngineSpec(precision="fp16", device="cuda:0")


def built(cache: EngineCache, backend: FakeCompiler | None = None) -> BuiltEngine:
    reference = OnnxRuntimeBackend().load(GRAPH, EngineSpec())
    return build(GRAPH, SPEC, backend or FakeCompiler(), cache, samples(), reference)


def opened(cache: EngineCache) -> str:
    return open_built(GRAPH, SPEC, FakeCompiler(), cache, samples())[0].key


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def test_the_folder_is_made_private_and_a_public_one_is_refused(tmp_path: Path) -> None:
    assert EngineCache(tmp_path / "a").folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "b").mkdir(mode=0o755)
    (tmp_path / "b").chmod(0o750)
    with pytest.raises(EngineFileError, match="not private") as caught:
        EngineCache(tmp_path / "b")
    assert "chmod 700" in caught.value.hint


def test_files_are_named_by_the_key_and_nothing_else_is_left(cache: EngineCache) -> None:
    record = built(cache).record
    names = {p.name for p in cache.folder.iterdir()} - {".seal", ".seal.lock"}
    assert names == {f"{record.key}{s}" for s in (".plan", ".json", ".lock")}
    assert (cache.folder / record.file).stat().st_mode & 0o077 == 0
    held = json.loads((cache.folder / f"{record.key}.json").read_text())
    assert held["gate"]["passed"] is True
    assert held["inputs"]["facts"]["version"] == "1.0"


def test_an_engine_is_synced_before_it_gets_its_name_and_the_name_after_it(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves a whole engine or none, and never a record without its engine."""
    acts: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        whole = path == cache.folder or path.stat().st_size > 0
        acts.append("sync " + ("folder" if path == cache.folder else f"new {whole}"))
        sync(handle)

    def renamed(path: Path, target: Path) -> Path:
        acts.append(f"rename {target.suffix or target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    built(cache)
    assert acts == [
        f"{act}" for name in (".plan", ".seal", ".json")
        for act in ("sync new True", f"rename {name}", "sync folder")
    ]  # fmt: skip


def test_an_engine_that_is_there_is_not_built_again(cache: EngineCache) -> None:
    backend = FakeCompiler()
    assert built(cache, backend).fresh
    assert not built(cache, backend).fresh
    assert len(backend.builds) == 1


def test_a_changed_file_is_refused_before_it_is_opened_and_built_anew(cache: EngineCache) -> None:
    record = built(cache).record
    (cache.folder / record.file).write_bytes(b"plan 0.0\n# a line of somebody else's")
    with pytest.raises(EngineFileError, match="wrong sha256"):
        opened(cache)
    assert built(cache).fresh
    assert opened(cache) == record.session_key


@pytest.mark.parametrize("change", ["seal", "sha256", "gate"])
def test_a_changed_record_is_refused(cache: EngineCache, change: str) -> None:
    path = cache.folder / f"{built(cache).record.key}.json"
    held = json.loads(path.read_text())
    held[change] = held["gate"] | {"worst": 0.01} if change == "gate" else "0" * 64
    path.write_text(json.dumps(held))
    with pytest.raises(EngineFileError, match="not made by this node"):
        opened(cache)


def test_a_plan_from_another_node_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    other = EngineCache(tmp_path / "other")
    record = built(other).record
    built(cache)
    for suffix in (".json", ".plan"):
        name = f"{record.key}{suffix}"
        (cache.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(EngineFileError, match="from elsewhere is foreign code"):
        opened(cache)


def test_a_link_in_the_place_of_a_plan_is_refused(cache: EngineCache, tmp_path: Path) -> None:
    record = built(cache).record
    path = cache.folder / record.file
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineFileError, match="no file of the cache"):
        opened(cache)


def test_without_a_build_the_remedy_is_named(cache: EngineCache) -> None:
    with pytest.raises(EngineFileError, match="was built") as caught:
        opened(cache)
    assert "models build --backend fake --precision fp16" in caught.value.hint


class Slow(FakeCompiler):
    """Writes a line for each build, slowly."""

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        import time

        with Path(os.environ["RA_TEST_BUILDS"]).open("a") as stream:
            stream.write("built\n")
        time.sleep(1.0)
        return super().build(graph, spec)


def _child(folder: Path) -> None:
    built(EngineCache(folder), Slow())


def test_two_processes_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "builds"
    monkeypatch.setenv("RA_TEST_BUILDS", str(log))
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_child, args=(tmp_path / "engines",)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [c.exitcode for c in children] == [0, 0]
    assert log.read_text().splitlines() == ["built"]
