"""Every transfer syntax decodes; the lossless ones to the very values that DCMTK gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless

from ra_daemon.dicom import read
from ra_engine.types import Radiograph
from tests.support import dicom_sources
from tests.support.peers import require_tool

pytestmark = pytest.mark.peer
DCMTK = {
    "implicit": ["dcmconv", "+ti"],
    "big-endian": ["dcmconv", "+tb"],
    "deflated": ["dcmconv", "+td"],
    "jpeg-lossless-sv1": ["dcmcjpeg", "+e1"],
    "jpeg-lossless": ["dcmcjpeg", "+el"],
    "jpeg-ls": ["dcmcjpls"],
    "rle": ["dcmcrle"],
}


def decoded(path: Path) -> Radiograph:
    found = read.decode(path)
    assert isinstance(found, Radiograph)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("s") / "source.dcm")


@pytest.mark.parametrize("name", DCMTK)
def test_lossless_syntaxes_are_exact(source: Path, tmp_path: Path, name: str) -> None:
    program, *options = DCMTK[name]
    require_tool(program, "dcmtk")
    target = tmp_path / "out.dcm"
    subprocess.run([program, *options, str(source), str(target)], check=True)
    assert dcmread(target).file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.1"
    assert np.array_equal(decoded(target).pixels, decoded(source).pixels)


def test_jpeg_2000_is_exact(source: Path, tmp_path: Path) -> None:
    ds = dcmread(source)
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    ds.save_as(tmp_path / "j2k.dcm")
    assert np.array_equal(decoded(tmp_path / "j2k.dcm").pixels, decoded(source).pixels)


def test_htj2k_is_exact(source: Path, tmp_path: Path) -> None:
    import imagecodecs
    from pydicom.encaps import encapsulate

    ds = dcmread(source)
    ds.PixelData = encapsulate([imagecodecs.htj2k_encode(ds.pixel_array, reversible=True)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = HTJ2KLossless
    ds.save_as(tmp_path / "htj2k.dcm")
    assert np.array_equal(decoded(tmp_path / "htj2k.dcm").pixels, decoded(source).pixels)


def test_twelve_bit_lossy_jpeg_is_close(source: Path, tmp_path: Path) -> None:
    require_tool("dcmcjpeg", "dcmtk")
    target = tmp_path / "ext.dcm"
    ds = dcmread(source)
    ds.PixelData = (ds.pixel_array >> (int(ds.BitsStored) - 12)).astype("<u2").tobytes()
    ds.BitsStored, ds.HighBit = 12, 11
    ds.save_as(tmp_path / "12.dcm")
    lossy = ["dcmcjpeg", "+ee", "+q", "95", str(tmp_path / "12.dcm"), str(target)]
    subprocess.run(lossy, check=True)
    subprocess.run(["dcmdjpeg", str(target), str(tmp_path / "by-dcmtk.dcm")], check=True)
    theirs = dcmread(tmp_path / "by-dcmtk.dcm").pixel_array.astype(int)
    assert np.abs(decoded(target).pixels.astype(int) - theirs).max() <= 1


def test_a_cut_file_is_unreadable_not_a_crash(source: Path, tmp_path: Path) -> None:
    from ra_daemon.errors import UnreadableError

    cut = tmp_path / "cut.dcm"
    cut.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(UnreadableError):
        read.read_header(cut)
    noise = tmp_path / "noise.dcm"
    noise.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UnreadableError):
        read.read_header(noise)
    assert len(read.digests(noise)[0]) == 64
