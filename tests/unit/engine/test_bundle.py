"""A bundle is read only when every file is the one that was signed off."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.bundle import load_bundle, write_sums
from ra_engine.errors import BundleError
from ra_engine.spec import EngineSpec
from tests.support.bundles import LOCATOR, SCORE, locator_bundle, score_bundle


def test_a_whole_bundle_loads_and_names_its_model(tmp_path: Path) -> None:
    bundle = load_bundle(score_bundle(tmp_path / "b"))
    session = OnnxRuntimeBackend().load(bundle.graph, EngineSpec())
    model = bundle.reference(session)
    assert (model.engine, model.precision, model.device) == (session.key, "fp32", "cpu")
    assert (bundle.name, bundle.version) == ("small", "1.0")
    assert model.digest == bundle.digest
    assert model.demonstration
    assert model.preprocessing == bundle.manifest.preprocessing.spec().digest
    assert bundle.graph.is_file()


def test_the_digest_depends_on_every_file(tmp_path: Path) -> None:
    first = load_bundle(score_bundle(tmp_path / "a"))
    folder = score_bundle(tmp_path / "b")
    (folder / "card.md").write_text("# Another card\n")
    write_sums(folder)
    assert load_bundle(folder).digest != first.digest


@pytest.mark.parametrize("name", ["graph.onnx", "manifest.toml", "card.md"])
def test_one_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    folder = score_bundle(tmp_path / "b")
    with (folder / name).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(BundleError, match=f"{name} is not the file that was signed off"):
        load_bundle(folder)


def test_a_missing_and_an_unlisted_file_are_refused(tmp_path: Path) -> None:
    folder = score_bundle(tmp_path / "b")
    (folder / "extra.py").write_text("")
    with pytest.raises(BundleError, match=r"extra\.py not listed"):
        load_bundle(folder)
    (folder / "extra.py").unlink()
    (folder / "card.md").unlink()
    with pytest.raises(BundleError, match=r"card\.md missing"):
        load_bundle(folder)


def test_an_unlisted_file_in_a_subfolder_is_refused(tmp_path: Path) -> None:
    folder = score_bundle(tmp_path / "b")
    (folder / "empty").mkdir()
    load_bundle(folder)  # nothing can hide in it
    (folder / "empty" / "weights.bin").write_bytes(b"\0")
    with pytest.raises(BundleError, match=r"empty/weights\.bin not listed"):
        load_bundle(folder)


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = score_bundle(tmp_path / "b")
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(BundleError, match="more not listed"):
        load_bundle(folder)


def test_no_sums_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="SHA256SUMS is missing"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "line", ["abc  graph.onnx", "0" * 64 + "  ../graph.onnx", "0" * 64 + " x"]
)  # fmt: skip
def test_a_bad_line_of_the_sums_is_refused(tmp_path: Path, line: str) -> None:
    folder = score_bundle(tmp_path / "b")
    with (folder / "SHA256SUMS").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(BundleError, match="bad line"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "hand"', 'unit = "foot"', "unit"),
        ('licence = "Apache-2.0"', 'licence = "Apache-2.0"\nlicense = "x"', "license"),
        ("percentiles = [0.5, 99.7]", "percentiles = [99.7, 0.5]", "must rise within"),
        ('"histogram", "area"', '"area", "histogram"', "in the order"),
        ("upper = [10.0, 1e9]", "upper = [1e9, 10.0]", "upper must rise"),
        ("low = [4.0, 8.0]", "low = [4.0]", "of one length"),
        ("edges_hand = [0.0, 16.0]", "edges_hand = [16.0, 0.0]", "edges must rise"),
        ("c = [0.0, -3.0]", "c = [0.0]", "of one length"),
        ("[cam]\nthreshold = 0.1\nfull_scale = 5.0\n", "", "role 'cam' needs its table"),
        ("[graph]", '[graph]\nfile = "other.onnx"', "which it lacks"),
        ("[graph]", '[graph]\nfile = "../graph.onnx"', "inside the bundle"),
        ("[graph]", "[graph", "is no TOML"),
    ],
)
def test_a_bad_manifest_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SCORE
    folder = score_bundle(tmp_path / "b", manifest=SCORE.replace(old, new))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_locator_without_its_statistics_is_refused(tmp_path: Path) -> None:
    named = LOCATOR.replace("[locator]", '[locator]\nstatistics = "absent.npz"')
    folder = locator_bundle(tmp_path / "b", manifest=named)
    with pytest.raises(BundleError, match=r"absent\.npz"):
        load_bundle(folder)
