"""Optional decoder on an NVIDIA GPU: nvImageCodec, for JPEG 2000 and High-Throughput JPEG 2000.

Never run by us on a GPU: its calls were checked against the bindings 0.9. So before it may decode
an image it must give back a picture that imagecodecs encoded, value for value. Only lossless
syntaxes are taken: a lossy one may differ between decoders, and a score must not.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_daemon import log
from ra_daemon.errors import DecoderError

STANDING = "never run by us"
SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless only
        "1.2.840.10008.1.2.4.201",  # HTJ2K, lossless only
        "1.2.840.10008.1.2.4.202",  # HTJ2K, lossless, RPCL
    }
)
FrameDecoder = Callable[[str, bytes], NDArray[Any] | None]
"""(transfer syntax UID, code stream) -> values as they are in the stream; None: not by this one."""

_MODULE = "nvidia.nvimgcodec"
_BITS = (8, 12, 16)
_log = log.get(__name__)


class GpuFrames:
    """Decodes one frame at a time on one GPU; safe to share between threads.

    Args:
        library: the module ``nvidia.nvimgcodec``.
        device: number of the GPU.
    """

    def __init__(self, library: Any, device: int) -> None:
        kinds = library.BackendKind
        wanted = (kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU)
        self._decoder = library.Decoder(
            device_id=device, backends=[library.Backend(kind) for kind in wanted]
        )
        self._params = library.DecodeParams(
            allow_any_depth=True,  # otherwise everything becomes 8 bits
            color_spec=library.ColorSpec.UNCHANGED,
        )
        self._guard = threading.Lock()

    def __call__(self, syntax: str, frame: bytes) -> NDArray[Any] | None:
        """Values of a frame; None where another decoder has to do it, with a warning."""
        if syntax not in SYNTAXES:
            return None
        try:
            values = self.decoded(frame)
        except Exception as error:  # noqa: BLE001 - the other decoders get their chance
            _log.warning("decoder.fell_back", decoder="nvimgcodec", error=type(error).__name__)
            return None
        if values is None:
            _log.warning("decoder.fell_back", decoder="nvimgcodec", error="unsupported")
        return values

    def decoded(self, frame: bytes) -> NDArray[Any] | None:
        """Values of a frame, (rows, columns); None when the library cannot decode it."""
        with self._guard:
            image = self._decoder.decode(frame, params=self._params)
            if image is None:
                return None
            return np.squeeze(np.array(image.cpu()))  # copied: the library reuses its buffer


def load(device: int) -> GpuFrames:
    """The decoder, after it has proved itself.

    Raises:
        DecoderError: no library, no GPU, or other values than were encoded.
    """
    try:
        library = importlib.import_module(_MODULE)
    except (ImportError, OSError) as error:
        raise DecoderError(
            f"nvImageCodec cannot be imported ({type(error).__name__}).",
            hint='Install ra-daemon[nvimgcodec], or set [scoring] decoder = "imagecodecs".',
        ) from error
    try:
        made = GpuFrames(library, device)
        _prove(made)
    except DecoderError:
        raise
    except Exception as error:
        raise DecoderError(f"nvImageCodec does not run ({type(error).__name__}).") from error
    return made


def chosen(name: str, device: str) -> FrameDecoder | None:
    """The decoder that goes before imagecodecs; None for none. What cannot be had is logged.

    Args:
        name: ``[scoring] decoder``.
        device: ``cuda:N``.
    """
    if name != "nvimgcodec":
        return None
    try:
        made = load(int(device.partition(":")[2]))
    except DecoderError as error:
        _log.error("decoder.passed_over", decoder=name, why=str(error), hint=error.hint)
        return None
    _log.info("decoder.chosen", decoder=name, device=device, standing=STANDING)
    return made


def _prove(frames: GpuFrames) -> None:
    """Decode noise of every depth; values must come back as they were.

    Raises:
        DecoderError: they did not.
    """
    import imagecodecs

    random = np.random.default_rng(0)
    for bits in _BITS:
        values = random.integers(0, 1 << bits, (96, 80)).astype(np.uint8 if bits == 8 else "u2")
        stream = imagecodecs.jpeg2k_encode(
            values, level=0, codecformat="J2K", reversible=True, bitspersample=bits
        )
        found = frames.decoded(bytes(stream))
        if found is None or not np.array_equal(found, values):
            raise DecoderError(f"nvImageCodec gives other values than were encoded ({bits} bits).")
