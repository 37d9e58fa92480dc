"""Every transfer syntax decodes; the lossless ones to the very values that DCMTK gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from openjpeg.utils import decode as by_openjpeg
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSNearLossless,
)

from ra_daemon.dicom import read
from ra_engine.types import Radiograph
from tests.support import dicom_sources
from tests.support.peers import require_tool

pytestmark = pytest.mark.peer
RPCL = 2  # order of progression in a COD marker, ISO/IEC 15444-1 table A.16
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


def as_htj2k(source: Path, target: Path, syntax: UID, *, lossless: bool) -> bytes:
    """Write ``source`` as high-throughput JPEG 2000; its codestream."""
    ds = dcmread(source)
    stream = bytes(imagecodecs.htj2k_encode(ds.pixel_array, reversible=lossless))
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(target)
    return stream


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL], ids=lambda u: u.keyword)
def test_htj2k_is_exact(source: Path, tmp_path: Path, syntax: UID) -> None:
    stream = as_htj2k(source, tmp_path / "htj2k.dcm", syntax, lossless=True)
    assert stream[stream.index(b"\xff\x52") + 5] == RPCL
    assert np.array_equal(decoded(tmp_path / "htj2k.dcm").pixels, decoded(source).pixels)


def test_lossy_htj2k_is_what_another_decoder_says(source: Path, tmp_path: Path) -> None:
    stream = as_htj2k(source, tmp_path / "lossy.dcm", HTJ2K, lossless=False)
    ours = decoded(tmp_path / "lossy.dcm").pixels.astype(int)
    assert np.abs(ours - by_openjpeg(stream).astype(int)).max() <= 1
    assert not np.array_equal(ours, decoded(source).pixels)


def test_lossy_jpeg_2000_is_what_another_decoder_says(source: Path, tmp_path: Path) -> None:
    ds = dcmread(source)
    stream = imagecodecs.jpeg2k_encode(
        ds.pixel_array, level=60, codecformat="j2k", reversible=False
    )
    ds.PixelData = encapsulate([bytes(stream)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEG2000
    ds.save_as(tmp_path / "lossy.dcm")
    ours = decoded(tmp_path / "lossy.dcm").pixels.astype(int)
    assert np.abs(ours - by_openjpeg(bytes(stream)).astype(int)).max() <= 1
    assert not np.array_equal(ours, decoded(source).pixels)


def test_near_lossless_jpeg_ls_is_what_dcmtk_says(source: Path, tmp_path: Path) -> None:
    require_tool("dcmcjpls", "dcmtk")
    near, plain = tmp_path / "near.dcm", tmp_path / "plain.dcm"
    subprocess.run(["dcmcjpls", "+en", "+md", "3", str(source), str(near)], check=True)
    subprocess.run(["dcmdjpls", str(near), str(plain)], check=True)
    assert dcmread(near).file_meta.TransferSyntaxUID == JPEGLSNearLossless
    ours = decoded(near).pixels
    assert np.array_equal(ours, dcmread(plain).pixel_array)
    assert 0 < np.abs(ours.astype(int) - decoded(source).pixels).max() <= 3


def test_eight_bit_lossy_jpeg_is_close(source: Path, tmp_path: Path) -> None:
    require_tool("dcmcjpeg", "dcmtk")
    target, plain = tmp_path / "baseline.dcm", tmp_path / "plain.dcm"
    ds = dcmread(source)
    ds.PixelData = (ds.pixel_array >> (int(ds.BitsStored) - 8)).astype(np.uint8).tobytes()
    ds["PixelData"].VR = "OB"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.save_as(tmp_path / "8.dcm")
    subprocess.run(["dcmcjpeg", "+eb", "+q", "95", tmp_path / "8.dcm", target], check=True)
    subprocess.run(["dcmdjpeg", target, plain], check=True)
    assert dcmread(target).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    theirs = dcmread(plain).pixel_array.astype(int)
    assert np.abs(decoded(target).pixels.astype(int) - theirs).max() <= 1


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
