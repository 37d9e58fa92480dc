"""Augmentation: what it may change, and that it never depends on the machine."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")

from ra_engine.prepare import Preprocessing  # noqa: E402
from ra_training.zoo.augment import MEAN, STD, augmented, blur, jpeg, plain  # noqa: E402
from ra_training.zoo.config import Augment  # noqa: E402

OFF = {"turn_degrees": 0, "scale": 0, "shift": 0, "tone": 0, "noise": 0, "blur": 0, "jpeg": 0}


def ramp(n: int = 4, rows: int = 48, columns: int = 40) -> torch.Tensor:
    """Smooth images, brighter to the right."""
    line = torch.linspace(40, 200, columns).round().to(torch.uint8)
    return line.repeat(n, rows, 1)


def seeded(seed: int = 1) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


def test_all_switched_off_is_what_serving_sees() -> None:
    pixels = ramp()
    assert torch.allclose(augmented(pixels, Augment(**OFF), seeded()), plain(pixels), atol=1e-6)
    spec = Preprocessing(kind="hand_view", rows=1, columns=1)
    assert (spec.mean, spec.std) == (MEAN, STD)


def test_the_same_draws_give_the_same_images() -> None:
    pixels = ramp()
    one, two = (augmented(pixels, Augment(), seeded()) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, augmented(pixels, Augment(), seeded(2)))


def test_tone_never_inverts() -> None:
    table = Augment(**{**OFF, "tone": 0.9})
    found = augmented(ramp(64), table, seeded())[:, 0, 0]
    assert (found.diff(dim=1) >= 0).all()
    assert len({float(v) for v in found[:, 20]}) > 32  # each its own, where it is not saturated


def test_turns_stay_within_their_limit() -> None:
    """A bar through the centre is turned: its angle is measured by its second moments."""
    pixels = torch.zeros(32, 81, 61, dtype=torch.uint8)
    pixels[:, 38:43, 6:55] = 255
    found = augmented(pixels, Augment(**{**OFF, "turn_degrees": 20}), seeded())
    tones = (found[:, 0] * STD + MEAN).clamp(0, 1).numpy()
    y, x = np.mgrid[:81, :61]
    angles = []
    for tone in tones:
        dx, dy = x - (tone * x).sum() / tone.sum(), y - (tone * y).sum() / tone.sum()
        xx, yy, xy = ((tone * v).sum() for v in (dx * dx, dy * dy, dx * dy))
        angles.append(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)))
    assert 12 < np.abs(angles).max() < 20.5
    assert min(angles) < 0 < max(angles)


def test_blur_is_a_gaussian_of_its_own_width() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    image = rng.random((2, 20, 24)).astype(np.float32)
    sigma = torch.tensor([0.0, 0.8])
    found = blur(torch.from_numpy(image)[:, None], sigma)[:, 0].numpy()
    np.testing.assert_allclose(found[0], image[0], atol=1e-6)
    oracle = gaussian_filter(image[1], 0.8, mode="nearest", radius=3)
    np.testing.assert_allclose(found[1], oracle, atol=1e-5)


def test_compression_errs_as_a_jpeg_codec_errs() -> None:
    from io import BytesIO

    from PIL import Image

    rng = np.random.default_rng(1)
    smooth = np.cumsum(rng.normal(0, 6, (48, 64)), 1)
    tone = np.clip(128 + smooth, 0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(tone).save(stream, "JPEG", quality=60)
    codec = np.asarray(Image.open(stream)).astype(np.float32)
    x = torch.from_numpy(tone.astype(np.float32) / 255)[None, None]
    ours = jpeg(x, torch.tensor([60.0]))[0, 0].numpy() * 255
    assert np.abs(codec - tone).mean() > 1  # the codec does lose something
    assert np.abs(ours - codec).mean() < 0.5  # half a grey level: the codec rounds to integers


def test_flips_mirror_half_of_the_images() -> None:
    found = augmented(ramp(200), Augment(**OFF, flip=True), seeded())[:, 0, 0]
    falling = int((found[:, -1] < found[:, 0]).sum())
    assert 70 < falling < 130
