"""The adapter of nvImageCodec against a double that records its calls; no GPU was ever at hand."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEG2000Lossless

from ra_daemon.commands import checks
from ra_daemon.config import Config, Scoring
from ra_daemon.dicom import nvimgcodec, pixels
from ra_daemon.errors import DecoderError


@dataclass
class Library:
    """What the adapter uses of ``nvidia.nvimgcodec`` 0.9; imagecodecs decodes in its place.

    ``fault``: "scaled" stretches 12 bits to 16, "none" decodes nothing, "raises" fails.
    """

    fault: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    BackendKind: Any = field(
        default_factory=lambda: SimpleNamespace(
            CPU_ONLY="cpu", GPU_ONLY="gpu", HW_GPU_ONLY="hw", HYBRID_CPU_GPU="hybrid"
        )
    )
    ColorSpec: Any = field(default_factory=lambda: SimpleNamespace(UNCHANGED="unchanged"))

    def Backend(self, kind: str) -> str:  # noqa: N802 - the library's name
        return kind

    def Decoder(self, **given: Any) -> Library:  # noqa: N802 - the library's name
        self.calls.append(("Decoder", given))
        return self

    def DecodeParams(self, **given: Any) -> dict[str, Any]:  # noqa: N802 - the library's name
        return given

    def decode(self, frame: bytes, *, params: dict[str, Any]) -> Image | None:
        self.calls.append(("decode", params))
        if self.fault == "raises":
            raise RuntimeError("patient name")
        if self.fault == "none":
            return None
        values = imagecodecs.jpeg2k_decode(frame)
        scaled = values << 4 if self.fault == "scaled" and values.dtype == np.uint16 else values
        return Image(scaled[:, :, None])


@dataclass
class Image:
    """A decoded image in device memory, height x width x channels."""

    values: NDArray[Any]

    def cpu(self) -> NDArray[Any]:
        return self.values


def install(monkeypatch: pytest.MonkeyPatch, library: object) -> None:
    monkeypatch.setitem(sys.modules, "nvidia", SimpleNamespace(nvimgcodec=library))
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", library)


def encoded(sign: int = 0) -> tuple[Dataset, NDArray[Any]]:
    """A lossless JPEG 2000 object of 12 bits, and its stored values."""
    values = np.random.default_rng(3).integers(0, 4096, (70, 60)).astype(np.uint16)
    stream = imagecodecs.jpeg2k_encode(
        values, level=0, codecformat="J2K", reversible=True, bitspersample=12
    )
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 70, 60, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, sign
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = encapsulate([bytes(stream)])
    signed = values.astype(np.int32)
    return ds, np.where(signed >= 2048, signed - 4096, signed) if sign else values


@pytest.mark.parametrize("sign", [0, 1])
def test_it_decodes_after_proving_itself(monkeypatch: pytest.MonkeyPatch, sign: int) -> None:
    library = Library()
    install(monkeypatch, library)
    first = nvimgcodec.chosen("nvimgcodec", "cuda:1")
    assert library.calls[0] == (
        "Decoder", {"device_id": 1, "backends": ["hw", "gpu", "hybrid"]},
    )  # fmt: skip
    proofs = len(library.calls)
    ds, values = encoded(sign)
    assert np.array_equal(pixels.stored_values(ds, first), values)
    assert library.calls[proofs:] == [
        ("decode", {"allow_any_depth": True, "color_spec": "unchanged"})
    ]


@pytest.mark.parametrize("fault", ["scaled", "none", "raises"])
def test_one_that_gives_other_values_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, Library(fault=fault))
    with pytest.raises(DecoderError):
        nvimgcodec.load(0)
    assert nvimgcodec.chosen("nvimgcodec", "cuda:0") is None
    assert "patient" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("fault", ["none", "raises"])
def test_a_frame_that_it_cannot_decode_goes_to_the_next_decoder(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    library = Library()
    install(monkeypatch, library)
    first = nvimgcodec.load(0)
    library.fault = fault
    ds, values = encoded()
    assert np.array_equal(pixels.stored_values(ds, first), values)
    assert library.calls[-1][0] == "decode"


def test_a_lossy_syntax_is_not_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    install(monkeypatch, library)
    first = nvimgcodec.load(0)
    before = list(library.calls)
    assert first(str(JPEG2000), b"") is None
    assert library.calls == before


def test_nothing_is_loaded_unless_the_configuration_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    install(monkeypatch, library)
    assert nvimgcodec.chosen("imagecodecs", "cuda:0") is None
    assert library.calls == []


def test_doctor_names_its_standing_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(scoring=Scoring(decoder="nvimgcodec"))
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    (absent,) = checks.decoder(config)
    assert not absent.ok
    assert "ra-daemon[nvimgcodec]" in absent.remedy
    install(monkeypatch, Library())
    (there,) = checks.decoder(config)
    assert there.ok
    assert "never run by us" in there.found
    (default,) = checks.decoder(Config())
    assert default.ok
    assert "nvimgcodec" not in default.found
