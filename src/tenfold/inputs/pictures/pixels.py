"""Convert pixels of any scale, light on dark or dark on light, to uint8 as in a model's
training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Background, ImageInput
from tenfold.core.errors import DataError

Pixels = NDArray[np.uint8]

WHITE, FEW_GREYS, DEEPEST = 255, 16, 65_535
"""The largest value of a pixel of 8 bits, of scikit-learn's digits, whose greys are 0 to 16, and of
16 bits. A picture without a pixel above `FEW_GREYS` has the scale 0 to 1 or 0 to 16, or is so dark
that stretching it loses nothing."""

DEEP_BITS = (8, 10, 12, 14, 16, 32)
"""The numbers of bits that cameras and scanners use, although they store wider integers."""

HOT_SHARE = 5_000
"""One pixel in this many, and at least one, may be brighter than white, because sensors have hot
pixels."""

FRAME_SHARE = 0.9
"""The background of a picture is regarded as dark or light if at least this share of its outermost
pixels is."""

MIN_FRAMES, MAX_FRAMES = 20, 2_000
"""Minimum and maximum number of training pictures that are used to find the background."""


def as_pixels(x: NDArray[Any], where: object) -> tuple[Pixels, list[str]]:
    """Return pictures as uint8, and notes for the user.

    Pictures whose values end at 1 or at 16 are stretched to 0..255, each one separately. If values
    exceed 255, all pictures are divided by the white of the fewest bits that hold them.

    Args:
      x: Pictures (n, height, width) or (n, height, width, 3), of any dtype of numbers.
      where: Their name in messages.

    Raises:
      DataError: There are values outside 0 to 65,535.
    """
    tops = _tops(x, where)
    if x.dtype == np.uint8 and tops.min() > FEW_GREYS:  # true of nearly all pictures
        return x, []
    if tops.max() > WHITE:
        white = white_of(x)
        notes = [f"pixels from 0 to {white} divided by it ({where})"] if white > WHITE else []
        return _scaled(x, white), notes
    exact = x if x.dtype == np.uint8 else np.rint(x).astype(np.uint8)
    dark = tops <= FEW_GREYS
    if dark.any():
        dark &= tops > x.reshape(len(x), -1).min(axis=1)  # blank pictures stay unchanged
    if not dark.any():
        return exact, []
    top = float(tops[dark].max())
    white = 1 if top < 2 else FEW_GREYS
    pixels = exact.copy()
    pixels[dark] = _scaled(x[dark], white)
    n = f"{int(dark.sum()):,} of {len(x):,} pictures have no pixel above {top:g}"
    return pixels, [f"{n}, stretched from 0..{white} to 0..255 ({where})"]


def training_pixels(
    x: NDArray[Any], where: object, white: float | None = None
) -> tuple[Pixels, list[str]]:
    """Return training pictures as uint8, all in one scale, and notes for the user.

    If no pixel is above 1, or above 16, that value is white. Pixels above 255 are divided by the
    white of the fewest bits that hold them. A `white` that is given applies whatever the pixels
    are.

    Raises:
      DataError: There are values outside 0 to 65,535, or above the white that was given.
    """
    top = float(_tops(x, where).max(initial=0))
    if white is not None and top > white:
        raise DataError(
            "E448",
            "A pixel is brighter than white",
            where=where,
            expected=f"at most {white:g}",
            fix="Use a larger --white",
            largest=top,
        )
    advice = "" if white is None else ", as requested"
    if white is None and top >= WHITE + 1:
        white = white_of(x)
        if white == WHITE or top < 2 * WHITE:  # a few outliers, or no known depth
            raise _no_pixel(x, x > WHITE, where)
    elif white is None:
        white = WHITE if not 0 < top <= FEW_GREYS else 1 if top < 2 else FEW_GREYS
        advice = "; --white 255 keeps them dark"
    if white == WHITE:
        return (x if x.dtype == np.uint8 else _scaled(x, WHITE)), []
    return _scaled(x, white), [
        f"no pixel above {top:g}: stretched from 0..{white:g} to 0..255 ({where}){advice}"
    ]


def _tops(x: NDArray[Any], where: object) -> NDArray[Any]:
    """The largest value of each picture."""
    rows = x.reshape(len(x), -1)
    tops: NDArray[Any]
    if x.dtype == np.uint8:
        tops = rows.max(axis=1)
        return tops
    wrong = np.zeros(0, bool)
    if x.dtype.kind in "iuf":
        wrong = ~((rows >= 0) & (rows <= DEEPEST))
    if x.dtype.kind not in "biuf" or wrong.any():
        raise _no_pixel(x, wrong.reshape(x.shape) if wrong.any() else None, where)
    tops = rows.max(axis=1)
    return tops


def _no_pixel(x: NDArray[Any], wrong: NDArray[np.bool_] | None, where: object) -> DataError:
    """Make the error for numbers of which some, given by `wrong`, are not pixels."""
    facts = {}
    if wrong is not None:
        place = tuple(map(int, np.unravel_index(int(wrong.argmax()), x.shape)))
        facts = {"place": place, "value": x[place].item()}
    return DataError(
        "E432",
        "A value is not a pixel",
        where=where,
        expected=f"numbers from 0 to 255 (or to 1, {FEW_GREYS} or {DEEPEST:,})",
        fix="Scale them to 0 to 255, for example by undoing their normalisation",
        dtype=str(x.dtype),
        **facts,
    )


def white_of(x: NDArray[Any]) -> int:
    """The white of deep pictures (n, ...): the largest value of the fewest bits that hold all but a
    few hot pixels of each."""
    rows = x.reshape(len(x), -1)
    n_hot = min(1 + rows.shape[1] // HOT_SHARE, rows.shape[1] - 1)
    top = float(np.partition(rows, -1 - n_hot, axis=1)[:, -1 - n_hot].max()) or float(rows.max())
    return next(int(2**bits - 1) for bits in DEEP_BITS if top <= 2**bits - 1)


def _scaled(x: NDArray[Any], white: float) -> Pixels:
    return np.rint(np.clip(x * (WHITE / white), 0, WHITE)).astype(np.uint8)


def background_of(images: Pixels) -> Background | None:
    """The background of training pictures: `dark` or `light` if no picture has the other, or `any`.

    None: there are too few pictures.
    """
    if len(images) < MIN_FRAMES:
        return None
    light, dark = _frames(images)
    if dark.mean() >= 0.5 and not light.any():
        return "dark"
    return "light" if light.mean() >= 0.5 and not dark.any() else "any"


def like_training(images: Pixels, accepted: ImageInput, where: object) -> tuple[Pixels, list[str]]:
    """Invert pictures whose background is light if it is dark in training, or the reverse."""
    if accepted.surroundings == "any" or _are_dark_above(images, accepted):
        return images, []
    light, dark = _frames(images)
    other = light if accepted.surroundings == "dark" else dark
    other &= np.ptp(images.reshape(len(images), -1), axis=1) > 0  # blank pictures stay unchanged
    if not other.any():
        return images, []
    images = images.copy()
    images[other] = WHITE - images[other]
    wrong, right = "dark on light", "light on dark"
    if accepted.surroundings == "light":
        wrong, right = right, wrong
    n = f"{int(other.sum()):,} of {len(images):,} pictures are {wrong}"
    return images, [f"{n}, inverted: those of the training are {right} ({where})"]


def _are_dark_above(images: Pixels, accepted: ImageInput) -> bool:
    """Whether pictures have a dark background, by their first row alone. This is true of nearly all
    pictures for a model of light on dark. Looking at the whole frame took a third of the prediction
    time."""
    _, height, width, *_ = images.shape
    is_enough = width / (2 * (height + width)) > 1 - FRAME_SHARE
    return (
        accepted.surroundings == "dark"
        and is_enough
        and bool(images[:, 0].max(initial=0) < (WHITE + 1) // 2)
    )


def _frames(images: Pixels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each picture, whether its background is light, and whether it is dark."""
    sides = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    frame = np.concatenate([side.reshape(len(images), -1) for side in sides], axis=1)
    share = (frame >= (WHITE + 1) // 2).mean(axis=1)
    return share >= FRAME_SHARE, share <= 1 - FRAME_SHARE
