"""Pixels of another scale or polarity than the training had."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tenfold
from tenfold.core.contract import ImageInput
from tenfold.data.audit import audit_data
from tenfold.inputs.pictures.decode import PictureOptions, decode
from tenfold.inputs.pictures.pixels import as_pixels, background_of, training_pixels
from tenfold.inputs.pictures.preprocess import as_trained, preprocess
from tests.support.errors import refused

DIGITS = ImageInput(height=12, width=12)


def drawings(n: int = 30) -> np.ndarray:
    """Grey strokes on black, white in their middle: uint8 (n, 12, 12)."""
    x = np.zeros((n, 12, 12), np.uint8)
    x[:, 2:10, 4:8] = np.random.default_rng(0).integers(1, 256, (n, 8, 4))
    x[:, 3, 5:7] = 255
    return x


@pytest.mark.parametrize(
    ("white", "dtype"),
    [(1, np.float32), (1, np.float64), (16, np.float64), (16, np.uint8), (16, np.int64),
     (1023, np.uint16), (4095, np.int32), (65_535, np.uint16), (65_535, np.float32)],
)  # fmt: skip
def test_other_scales_are_stretched_and_said(white: int, dtype: type) -> None:
    x = drawings()
    other = x * (white / 255)
    if np.issubdtype(dtype, np.integer):
        other = np.rint(other)
    pixels, notes = as_pixels(other.astype(dtype), "a.npy")
    assert np.abs(pixels.astype(int) - x).max() <= (8 if white == 16 else 1)
    assert len(notes) == 1
    assert "a.npy" in notes[0]


def test_two_values_are_black_and_white() -> None:
    masks = drawings() > 127
    for x in (masks, masks.astype(np.uint8), masks.astype(float)):
        pixels, notes = as_pixels(x, "masks")
        assert np.array_equal(pixels, masks * np.uint8(255))
        assert len(notes) == 1


def test_what_is_in_scale_stays_and_is_not_talked_about() -> None:
    x = drawings()
    x[0, 2:10, 4:8] = np.minimum(x[0, 2:10, 4:8], 40)  # a dark one among the others
    x[1] = 0  # a blank one
    for dtype in (np.uint8, np.int64, np.float32):
        pixels, notes = as_pixels(x.astype(dtype), "x")
        assert np.array_equal(pixels, x)
        assert notes == []


def test_each_picture_of_few_greys_is_stretched_by_itself() -> None:
    x = drawings()
    x[3] //= 16
    pixels, notes = as_pixels(x, "x")
    assert np.array_equal(np.delete(pixels, 3, axis=0), np.delete(x, 3, axis=0))
    assert pixels[3].max() > 230
    assert notes == ["1 of 30 pictures have no pixel above 15, stretched from 0..16 to 0..255 (x)"]


def test_one_hot_pixel_does_not_darken_deep_pictures() -> None:
    x = drawings().astype(np.uint16) * 16
    x[5, 0, 0] = 65_535
    pixels, _ = as_pixels(x, "x")
    assert np.abs(pixels[0].astype(int) - drawings()[0]).max() <= 1
    assert pixels[5, 0, 0] == 255


@pytest.mark.parametrize("wrong", [-0.4, 70_000.0, np.nan, np.inf])
def test_what_was_normalised_otherwise_is_refused(wrong: float) -> None:
    x = drawings() / 255
    x[2, 3, 4] = wrong
    with refused("E432", r"place=\(2, 3, 4\)"):
        as_pixels(x, "x")
    with refused("E432", "dtype='complex128'"):
        as_pixels(x.astype(complex), "x")


def test_pictures_of_the_other_polarity_are_inverted_and_said() -> None:
    x = drawings()
    for accepted, trained in (
        (DIGITS, x),
        (DIGITS.model_copy(update={"background": "light"}), 255 - x),
    ):
        mixed = trained.copy()
        mixed[:7] = 255 - mixed[:7]
        pixels, notes = as_trained(mixed, accepted, "x")
        assert np.array_equal(pixels, trained)
        assert len(notes) == 1
        assert notes[0].startswith("7 of 30")
    noise = np.random.default_rng(0).integers(0, 256, (50, 12, 12), np.uint8)
    assert as_trained(noise, DIGITS, "x")[1] == []
    anything = DIGITS.model_copy(update={"background": "any"})
    assert as_trained(255 - x, anything, "x")[1] == []


def test_the_training_shows_what_is_around_pictures() -> None:
    x = drawings()
    assert background_of(x) == "dark"
    assert background_of(255 - x) == "light"
    assert background_of(np.concatenate([x, 255 - x[:1]])) == "any"
    assert background_of(x[:5]) is None


def test_training_pictures_of_another_scale_are_stretched_as_answers_are() -> None:
    x = drawings()
    y = np.arange(len(x)) % 2
    data = tenfold.Dataset.from_arrays(x // 16, y)
    assert np.abs(data.x.astype(int) - x).max() <= 16
    assert any("0..16" in finding.text for finding in audit_data(data).findings)
    assert np.array_equal(training_pixels(x, "x")[0], x)
    assert tenfold.Dataset.from_arrays(x, y).notes == ()


def deep_png(values: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(file, "PNG")
    return file.getvalue()


def test_deep_pictures_of_a_folder_share_one_white(tmp_path: Path) -> None:
    brightness = {"dim": 900, "bright": 4000}
    for label, top in brightness.items():
        (tmp_path / label).mkdir()
        for number in range(6):
            values = np.full((12, 12), top - number)
            values[0, 0] = 65_535 if number == 3 else 0
            (tmp_path / label / f"{number}.png").write_bytes(deep_png(values))
    data = tenfold.load(tmp_path)
    assert data.pictures is not None
    assert data.pictures.input.white == 4095
    means = {label: data.x[data.y == code].mean() for code, label in enumerate(data.labels)}
    assert means["bright"] / means["dim"] == pytest.approx(4000 / 900, rel=0.05)
    # A single file is read as those of the training were.
    steps = preprocess(deep_png(np.full((12, 12), 900)), data.pictures.input)
    assert steps.image.max() == 56
    assert decode(deep_png(np.full((4, 4), 900))).pixels.max() == 224
    assert (
        decode(deep_png(np.full((4, 4), 900)), options=PictureOptions(white=4095)).pixels.max()
        == 56
    )
