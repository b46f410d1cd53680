"""Convert a picture file to the input of a model, step by step, as described in the model's
contract."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import ImageInput
from tenfold.core.errors import DataError
from tenfold.inputs.pictures import mnist_box as box
from tenfold.inputs.pictures import page_layout
from tenfold.inputs.pictures.decode import (
    DEFAULT_OPTIONS,
    Channels,
    Picture,
    PictureOptions,
    read_picture,
)
from tenfold.inputs.pictures.mnist_box import Box, Polarity
from tenfold.inputs.pictures.pixels import as_pixels, like_training

OVERSIZE = 2
"""A JPEG is reduced while it is decoded, to at least this many times the contract's size."""

BLANK = "nothing is drawn on it"
SEVERAL = "several digits stand side by side: `tenfold read` reads them"


@dataclass(frozen=True, eq=False)
class PictureSteps:
    """The steps from a picture to the input of the model.

    Attributes:
      original: The reduced picture: uint8 (h, w), or (h, w, 3) in colour.
      image: What the model sees, uint8 in the contract's shape.
      ink: The ink, uint8 (h, w), light on dark. None if ink is not separated.
      box: x, y, width and height of the digit in pixels of the file. None if there is no box.
      polarity: Whether ink is dark on light paper or the reverse. None if ink is not separated.
      problem: Why the prediction is unsure. None: there is no problem.
      notes: Notes about its pixels for the user.
    """

    original: NDArray[np.uint8]
    image: NDArray[np.uint8]
    ink: NDArray[np.uint8] | None = None
    box: Box | None = None
    polarity: Polarity | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()


def preprocess(
    source: Path | str | bytes, accepted: ImageInput, options: PictureOptions = DEFAULT_OPTIONS
) -> PictureSteps:
    """Read a picture file, or its bytes, in the form that a model takes.

    Raises:
      DataError: The model's crop is not possible at its size.
      FormatError: The file is damaged, or not a picture.
      FileError: The file cannot be read.
    """
    where = "picture" if isinstance(source, bytes) else source

    def read(channels: Channels, at_least_px: int | None) -> Picture:
        white = options.white or accepted.white
        how: Any = {"channels": channels, "at_least_px": at_least_px}
        how["options"] = replace(options, white=white)
        return read_picture(source, **how)

    if not options.fit_to_box:
        pixels = read(accepted.channels, None).pixels
        return PictureSteps(pixels, pixels)
    if accepted.crop == "centre":
        at_least = OVERSIZE * max(accepted.height, accepted.width)
        pixels = read(accepted.channels, at_least).pixels
        cut = centred(pixels, accepted.height, accepted.width)[None]
        images, notes = as_trained(cut, accepted, where)
        return PictureSteps(pixels, images[0], notes=tuple(notes))
    if accepted.shape != (box.SIDE_PX, box.SIDE_PX):
        size = " x ".join(str(n) for n in accepted.shape)
        raise DataError(
            "E323",
            "This model cannot read picture files",
            where=where,
            expected="a model of 28 x 28 grey pixels, or one of a folder of pictures",
            fix=f"With --no-fit a picture of {size} is used unchanged",
            size=accepted.shape,
        )
    picture = read(1, box.WORK_PX)
    try:
        fit = box.fit(picture.pixels, where=where)
    except box.NothingDrawn:
        blank = np.zeros(accepted.shape, np.uint8)
        grey = np.rint(box.shrink(picture.pixels, box.WORK_PX)).astype(np.uint8)
        return PictureSteps(grey, blank, np.zeros_like(grey), problem=BLANK)
    x, y, width, height = (round(side * picture.step) for side in fit.box)
    # The fit gives light on dark, whatever the model was trained on.
    image = like_training(fit.image[None], accepted, where)[0][0]
    frame = (x, y, width, height)
    return PictureSteps(fit.grey, image, fit.ink, frame, fit.polarity, _several(fit.grey))


def _several(grey: NDArray[np.uint8]) -> str | None:
    """The reason why a reduced picture does not show a single digit. None: it may show one."""
    if max(grey.shape) <= box.SIDE_PX:  # the size of one digit
        return None
    try:
        n = page_layout.count_side_by_side(grey)
    except box.NothingDrawn:
        return None
    return SEVERAL if n > 1 else None


def as_trained(
    x: NDArray[Any], accepted: ImageInput, where: object
) -> tuple[NDArray[np.uint8], list[str]]:
    """Convert pictures to the scale and polarity of a model's training, with notes for the user.

    The arguments are those of `as_pixels`, and the kind of input that the model accepts.
    """
    if not len(x):
        return x, []
    pixels, notes = as_pixels(x, where)
    pixels, more = like_training(pixels, accepted, where)
    return pixels, notes + more


def centred(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Crop a picture to the largest middle part with the proportions of this size, and resample it
    to the size."""
    from PIL import Image

    old: Any = pixels.shape[:2]
    # The cropped side has a whole number of pixels, at least one. Halves are rounded to even.
    if old[1] * height > old[0] * width:
        part = (old[0], max(1, round(old[0] * width / height)))
    else:
        part = (max(1, round(old[1] * height / width)), old[1])
    top, left = ((side - cut) // 2 for side, cut in zip(old, part, strict=True))
    cut = np.ascontiguousarray(pixels[top : top + part[0], left : left + part[1]])
    if part == (height, width):
        return cut
    return np.array(Image.fromarray(cut).resize((width, height), Image.Resampling.BOX))
