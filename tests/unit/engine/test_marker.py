"""Lead letters: read where they are sure, never where they are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase, digits

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ra_daemon.dicom import read
from ra_engine import marker
from ra_engine.glyphs import GRID, glyphs
from ra_engine.marker import Letter, read_letter
from ra_engine.testing import sample_landmarks
from ra_engine.types import Located, Radiograph, Side
from ra_engine.views import hand_view
from ra_training.phantom import film
from ra_training.phantom.exposure import Exposure
from ra_training.phantom.grades import sample_grades
from ra_training.phantom.render import render_exposure
from ra_training.phantom.streams import stream
from tests.support.paths import shared_data

ROWS, COLUMNS = 512, 435
SIDES = {"L": Side.LEFT, "R": Side.RIGHT}
FONTS = {
    "simplex": cv2.FONT_HERSHEY_SIMPLEX,
    "plain": cv2.FONT_HERSHEY_PLAIN,
    "duplex": cv2.FONT_HERSHEY_DUPLEX,
    "complex": cv2.FONT_HERSHEY_COMPLEX,
    "small": cv2.FONT_HERSHEY_COMPLEX_SMALL,
}
NOWHERE = Located(hands=(), probabilities={})
HAND = Located(hands=(hand_view(sample_landmarks(220, 420, 130)),), probabilities={"hand": 1.0})


def shot(seed: int) -> tuple[Exposure, bool]:
    """A generated radiograph of one hand, odd seeds the left one, and whether it has a letter."""
    exposure = render_exposure(seed, sample_grades(seed), hands="left" if seed % 2 else "right")
    own = int(stream(seed, "shot", 0, 0).integers(2**31))
    return exposure, film.draw_tube(own, ROWS).marker


def seen(exposure: Exposure) -> tuple[Radiograph, Located]:
    """It and its hand, by the truth."""
    located = Located(hands=(hand_view(exposure.hands[0].landmarks),), probabilities={"hand": 1.0})
    inverted = exposure.photometric == "MONOCHROME1"
    return Radiograph(pixels=exposure.pixels, inverted=inverted), located


def character(
    name: str, font: int = cv2.FONT_HERSHEY_SIMPLEX, *, height: int = 22, stroke: int = 3
) -> NDArray[np.uint8]:
    """A character cropped by its frame, 255 on 0."""
    canvas = np.zeros((120, 300), np.uint8)
    scale = cv2.getFontScaleFromHeight(font, height, stroke)
    cv2.putText(canvas, name, (40, 80), font, scale, 255, stroke, cv2.LINE_AA)
    ys, xs = np.nonzero(canvas)
    return canvas[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def film_with(
    *marks: NDArray[np.uint8], at: tuple[tuple[int, int], ...] = ((30, 40),), tone: int = 220,
    inverted: bool = False,
) -> Radiograph:  # fmt: skip
    """Noisy dark ground, a bright hand-like patch, and marks at places (x, y); 12 bits."""
    random = np.random.default_rng(3)
    shown = random.normal(24, 3, (ROWS, COLUMNS))
    shown[200:500, 170:270] = random.normal(150, 10, (300, 100))
    for mark, (x, y) in zip(marks, at, strict=True):
        part = shown[y : y + mark.shape[0], x : x + mark.shape[1]]
        part[:] = part + (tone - part) * (mark / 255)
    shown = cv2.GaussianBlur(shown, (0, 0), 0.6)
    grey = np.clip(shown * 16, 0, 4095)
    grey = 4095 - grey if inverted else grey
    return Radiograph(pixels=grey.astype(np.uint16), inverted=inverted)


def side(letter: Letter | None) -> Side | None:
    return None if letter is None else letter.side


def test_letters_of_generated_radiographs_are_read() -> None:
    """Of 300 with and without one: every letter, and nothing else; here are forty."""
    told: Counter[tuple[bool, str]] = Counter()
    for seed in range(60_000, 60_040):
        exposure, lettered = shot(seed)
        letter = read_letter(*seen(exposure))
        right = letter is not None and letter.side.value == exposure.hands[0].side
        told[lettered, "none" if letter is None else "right" if right else "wrong"] += 1
    lettered = sum(n for (has, _), n in told.items() if has)
    assert lettered >= 25
    assert told[True, "right"] >= 0.95 * lettered, told
    assert told[True, "wrong"] == told[False, "wrong"] == told[False, "right"] == 0, told


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("name", ["L", "R"])
@pytest.mark.parametrize("font", FONTS)
def test_letters_of_many_founts_and_sizes(font: str, name: str, *, inverted: bool) -> None:
    for height, stroke in ((17, 2), (20, 3), (26, 3), (30, 5)):
        drawn = film_with(
            character(name, FONTS[font], height=height, stroke=stroke), inverted=inverted
        )
        assert side(read_letter(drawn, HAND)) is SIDES[name], (height, stroke)


@pytest.mark.parametrize("name", ["L", "R"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", range(4))
def test_a_letter_may_lie_turned_and_mirrored(name: str, turn: int, *, mirrored: bool) -> None:
    mark = np.rot90(character(name), turn)
    mark = mark[:, ::-1] if mirrored else mark
    for place in ((12, 12), (380, 30), (20, 460), (390, 440)):
        assert side(read_letter(film_with(mark, at=(place,)), HAND)) is SIDES[name], place


@pytest.mark.parametrize("tilt", [-7, -4, 4, 7])
@pytest.mark.parametrize("name", ["L", "R"])
def test_a_letter_may_be_tilted(name: str, tilt: float) -> None:
    mark = cv2.copyMakeBorder(character(name), 12, 12, 12, 12, cv2.BORDER_CONSTANT)
    middle = (mark.shape[1] / 2, mark.shape[0] / 2)
    mark = cv2.warpAffine(mark, cv2.getRotationMatrix2D(middle, tilt, 1.0), mark.shape[::-1])
    assert side(read_letter(film_with(mark), HAND)) is SIDES[name]


def others() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for name in sorted({*ascii_uppercase, *digits} - set("LR")):
        yield name, character(name)
    blank = np.zeros((24, 24), np.uint8)
    yield "bar", np.full((24, 6), 255, np.uint8)
    yield "block", np.full((20, 14), 255, np.uint8)
    yield "disc", cv2.circle(blank.copy(), (12, 12), 10, 255, -1)
    yield "ring", cv2.circle(blank.copy(), (12, 12), 9, 255, 3)
    yield "cross", cv2.drawMarker(blank.copy(), (12, 12), 255, cv2.MARKER_CROSS, 20, 3)
    yield "arrow", cv2.arrowedLine(blank.copy(), (2, 21), (21, 2), 255, 3)


@pytest.mark.parametrize(("name", "mark"), [pytest.param(*one, id=one[0]) for one in others()])
def test_nothing_else_is_a_letter(name: str, mark: NDArray[np.uint8]) -> None:
    for turn in range(4):
        for laid in (np.rot90(mark, turn), np.rot90(mark, turn)[:, ::-1]):
            assert read_letter(film_with(laid), HAND) is None, (name, turn)


@pytest.mark.parametrize("font", FONTS)
def test_no_other_character_of_any_fount_is_a_letter(font: str) -> None:
    for name in sorted({*ascii_uppercase, *digits} - set("LR")):
        for height, stroke in ((15, 2), (28, 4)):
            mark = character(name, FONTS[font], height=height, stroke=stroke)
            assert read_letter(film_with(mark), HAND) is None, (name, height)


def test_without_a_letter_there_is_none() -> None:
    assert read_letter(film_with(at=()), HAND) is None


def test_letters_that_disagree_say_nothing() -> None:
    left, right = character("L"), character("R")
    places = ((30, 40), (350, 40))
    assert read_letter(film_with(left, right, at=places), HAND) is None
    assert side(read_letter(film_with(left, left, at=places), HAND)) is Side.LEFT


@pytest.mark.parametrize("words", ["LH", "RJD", "L 12", "LAT", "PORTABLE", "AR"])
def test_letters_of_a_text_are_none(words: str) -> None:
    assert read_letter(film_with(character(words, height=18, stroke=2)), HAND) is None


def test_a_letter_in_a_ring_is_one() -> None:
    ring = cv2.circle(np.zeros((44, 44), np.uint8), (22, 22), 20, 255, 2)
    mark = character("R", height=16, stroke=2)
    ring[14 : 14 + mark.shape[0], 15 : 15 + mark.shape[1]] |= mark
    assert side(read_letter(film_with(ring), HAND)) is Side.RIGHT


@pytest.mark.parametrize(
    ("place", "tone", "height"),
    [
        ((210, 300), 255, 22),  # on the hand
        ((205, 470), 255, 22),  # on the forearm
        ((30, 40), 40, 22),  # too faint for lead
        ((30, 40), 220, 7),  # too small to be sure
        ((30, 40), 220, 60),  # too large
    ],
)
def test_what_lies_wrong_is_no_letter(place: tuple[int, int], tone: int, height: int) -> None:
    mark = character("R", height=height, stroke=max(1, height // 7))
    assert read_letter(film_with(mark, at=(place,), tone=tone), HAND) is None


def test_what_the_edge_cuts_off_is_no_letter() -> None:
    for mark in (character("R")[:, 4:], character("L")[:, 1:]):
        assert read_letter(film_with(mark, at=((0, 40),)), HAND) is None


def test_metal_on_flesh_is_no_letter() -> None:
    """A plate with the shape of an L, in an arm that the landmarks do not foresee."""
    drawn = film_with(character("L"), at=((200, 350),), tone=255)
    assert read_letter(drawn, NOWHERE) is None
    pixels = drawn.pixels.copy()
    pixels[200:500, 170:270] = np.where(pixels[200:500, 170:270] > 3600, 3900, 400)
    assert side(read_letter(replace(drawn, pixels=pixels), NOWHERE)) is Side.LEFT


def test_what_the_mask_hides_is_not_read() -> None:
    drawn = film_with(character("R"))
    hidden = np.zeros(drawn.pixels.shape, np.bool_)
    hidden[:, :20] = True
    pixels = drawn.pixels.copy()
    pixels[:, :20] = 65535
    masked = replace(drawn, pixels=pixels, mask=hidden)
    assert side(read_letter(masked, HAND)) is Side.RIGHT
    hidden = hidden.copy()
    hidden[30:80, 10:80] = True
    assert read_letter(replace(masked, mask=hidden), HAND) is None


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 900), (2500, 2)])
@pytest.mark.parametrize("inverted", [False, True])
def test_images_of_any_shape_are_looked_at(shape: tuple[int, int], *, inverted: bool) -> None:
    random = np.random.default_rng(1)
    for pixels in (np.zeros(shape), random.integers(0, 65536, shape)):
        image = Radiograph(pixels=pixels.astype(np.uint16), inverted=inverted)
        assert read_letter(image, HAND) is None
        hidden = np.ones(shape, np.bool_)
        assert read_letter(replace(image, mask=hidden), NOWHERE) is None


def test_a_large_image_is_reduced() -> None:
    drawn = film_with(character("R", height=26, stroke=4))
    large = cv2.resize(drawn.pixels, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    landmarks = HAND.hands[0].landmarks * 5
    located = replace(HAND, hands=(hand_view(landmarks.astype(np.float32)),))
    assert side(read_letter(Radiograph(pixels=large), located)) is Side.RIGHT


def test_templates_are_correlations() -> None:
    known = glyphs()
    for rows in (*known.of.values(), known.others):
        assert rows.shape[1] == GRID * GRID
        assert np.allclose(rows.mean(1), 0, atol=1e-5)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert set(known.of) == set(marker.LIKENESS) == set(SIDES)


def test_real_wrists_have_no_letter() -> None:
    files = sorted(shared_data("ram_w600_wrist").glob("*.bmp"))
    assert files
    for path in files:
        grey = np.asarray(Image.open(path).convert("L"))
        image = Radiograph(pixels=grey.astype(np.uint16) * 16)
        assert read_letter(image, NOWHERE) is None, path.name


def test_the_letter_of_a_real_radiograph_is_read() -> None:
    """Two versions of one leg have an R, mirrored and beside the collimator; the rest has none."""
    told: dict[str, Side | None] = {}
    for path in sorted(shared_data("dicom_cr_dx").glob("*.dcm")):
        decoded = read.decode(Path(path))
        assert isinstance(decoded, Radiograph)
        told[path.stem] = side(read_letter(decoded, NOWHERE))
    lettered = {name for name, one in told.items() if one is not None}
    assert lettered == {"RG3_J2KI", "RG3_J2KR"}
    assert {told[name] for name in lettered} == {Side.RIGHT}
