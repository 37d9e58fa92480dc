"""Lossless syntaxes give the very stored values, whatever bits, sign and photometry; bad streams
are refused and end no process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
)

from ra_daemon.dicom import pixels, read
from ra_daemon.errors import UnreadableError
from tests.support import dicom_sources
from tests.support.peers import require_tool

pytestmark = pytest.mark.peer
# syntax -> DCMTK's encoder, and its decoder of the same
DCMTK = {
    "jpeg-lossless-sv1": (["dcmcjpeg", "+e1"], "dcmdjpeg"),
    "jpeg-lossless": (["dcmcjpeg", "+el"], "dcmdjpeg"),
    "jpeg-ls": (["dcmcjpls"], "dcmdjpls"),
    "rle": (["dcmcrle"], "dcmdrle"),
}
HTJ2K = {"htj2k": HTJ2KLossless, "htj2k-rpcl": HTJ2KLosslessRPCL}
SYNTAXES = [*DCMTK, "jpeg-2000", *HTJ2K]
KINDS = [(8, 0), (12, 0), (16, 0), (12, 1), (16, 1)]
"""Bits stored, pixel representation (1: two's complement)."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_sources.clean(tmp_path_factory.mktemp("d") / "source.dcm")


def plain(base: Path, path: Path, bits: int, sign: int, photometric: str) -> NDArray[Any]:
    """Write an uncompressed file of noise on a ramp, extremes included; its stored values."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if sign else (0, (1 << bits) - 1)
    noise = np.random.default_rng(bits).integers(-40, 41, (96, 80))
    ramp = np.linspace(low, high, 96).astype(np.int64)[:, None]
    values = np.clip(ramp + noise, low, high)
    values[0, 0], values[-1, -1] = low, high
    allocated = 8 if bits == 8 else 16
    array = values.astype(f"{'i' if sign else 'u'}{allocated // 8}")
    ds = dcmread(base)
    ds.Rows, ds.Columns = array.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1
    ds.PixelRepresentation, ds.PhotometricInterpretation = sign, photometric
    ds.PixelData = (values & ((1 << bits) - 1)).astype(f"<u{allocated // 8}").tobytes()
    ds["PixelData"].VR = "OB" if allocated == 8 else "OW"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path)
    return array


def compressed(source: Path, syntax: str) -> Path:
    target = source.with_name(f"{syntax}.dcm")
    if syntax == "jpeg-2000":
        ds = dcmread(source)
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        ds.save_as(target)
    elif syntax in HTJ2K:
        ds = dcmread(source)
        ds.PixelData = encapsulate([high_throughput(ds, rpcl=syntax == "htj2k-rpcl")])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = HTJ2K[syntax]
        ds.save_as(target)
    else:
        encoder = DCMTK[syntax][0]
        require_tool(encoder[0], "dcmtk")
        subprocess.run([*encoder, str(source), str(target)], check=True)
    return target


def high_throughput(ds: Dataset, *, rpcl: bool) -> bytes:
    """A code stream of OpenJPH with the precision that the header states.

    The encoder knows 8 and 16 bits only. The transform is reversible, so depth and sign matter for
    one thing, the level that a decoder adds to unsigned values: it is taken away here, and the
    byte of depth and sign (Ssiz, behind 40 bytes of the SIZ segment) is written.
    """
    bits, sign = int(ds.BitsStored), int(ds.PixelRepresentation)
    level = 0 if sign else 1 << (bits - 1)
    signed = (ds.pixel_array.astype(np.int32) - level).astype(np.int16)
    made = bytearray(imagecodecs.htj2k_encode(signed, reversible=True, tlm=rpcl))
    depth = made.index(b"\xff\x51") + 40
    assert made[depth] == 0x80 | 15
    made[depth] = sign << 7 | bits - 1
    assert made[made.index(b"\xff\x52") + 5] == 2, "the progression is RPCL"
    assert not rpcl or b"\xff\x55" in made, "with a table of lengths"
    return bytes(made)


def by_the_oracle(target: Path, syntax: str) -> NDArray[Any]:
    """DCMTK's decoder; OpenJPEG for JPEG 2000 and HTJ2K, which DCMTK has none for."""
    if syntax == "jpeg-2000" or syntax in HTJ2K:
        ds = dcmread(target)
        ds.pixel_array_options(decoding_plugin="pylibjpeg")
        return ds.pixel_array
    decoder = DCMTK[syntax][1]
    require_tool(decoder, "dcmtk")
    out = target.with_suffix(".plain")
    subprocess.run([decoder, str(target), str(out)], check=True)
    return dcmread(out).pixel_array


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "sign"), KINDS)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_stored_values_are_exact(
    base: Path, tmp_path: Path, syntax: str, bits: int, sign: int, photometric: str
) -> None:
    truth = plain(base, tmp_path / "plain.dcm", bits, sign, photometric)
    target = compressed(tmp_path / "plain.dcm", syntax)
    ours = pixels.stored_values(dcmread(target))
    assert np.array_equal(ours, truth)
    assert np.array_equal(ours, by_the_oracle(target, syntax))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_decoders_behind_give_the_same(
    base: Path, tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if syntax.startswith("jpeg-lossless") and find_spec("gdcm") is None:
        pytest.skip("install ra-daemon[gdcm]: the other decoder behind imagecodecs is GPL")
    truth = plain(base, tmp_path / "plain.dcm", 12, 0, "MONOCHROME2")
    target = compressed(tmp_path / "plain.dcm", syntax)

    def refuse(*_args: object) -> None:
        raise RuntimeError("no imagecodecs")

    monkeypatch.setattr(pixels, "_fast", refuse)
    assert np.array_equal(pixels.stored_values(dcmread(target)), truth)


def spoilt(target: Path, change: Callable[[bytes], bytes]) -> Path:
    ds: Dataset = dcmread(target)
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate([change(frame)])
    ds["PixelData"].is_undefined_length = True
    path = target.with_suffix(".bad.dcm")
    ds.save_as(path)
    return path


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda f: f[: len(f) // 2],
    "no end": lambda f: f[:-8],
    "zeros": lambda f: f[: len(f) // 2] + bytes(len(f) - len(f) // 2),
    "head only": lambda f: f[:20],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_cut_stream_is_refused_not_filled(
    base: Path, tmp_path: Path, syntax: str, cut: str
) -> None:
    plain(base, tmp_path / "plain.dcm", 12, 0, "MONOCHROME2")
    bad = spoilt(compressed(tmp_path / "plain.dcm", syntax), CUTS[cut])
    with pytest.raises(UnreadableError):
        read.decode(bad)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_flipped_bytes_end_in_a_refusal_or_an_image_of_the_right_size(
    base: Path, tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder's error amid the image is a refusal, not an array that is filled in part."""
    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: swallowed.append(found.exc_value))
    plain(base, tmp_path / "plain.dcm", 12, 0, "MONOCHROME2")
    target = compressed(tmp_path / "plain.dcm", syntax)
    random = np.random.default_rng(7)
    for _ in range(12):

        def flip(frame: bytes) -> bytes:
            changed = bytearray(frame)
            for place in random.integers(0, len(changed) - 2, 3):
                changed[place] ^= 0xFF
            return bytes(changed)

        try:
            found = pixels.stored_values(dcmread(spoilt(target, flip)))
        except Exception:  # noqa: BLE001 - read.decode makes UnreadableError of all of them
            continue
        assert found.shape == (96, 80)
    assert swallowed == []
