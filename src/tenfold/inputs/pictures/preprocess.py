"""A picture file -> what a model sees of it, step by step, as the model's contract says."""

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
"""A JPEG is shrunk while decoding to at least this many times the contract's size."""

BLANK = "nothing is drawn on it"
SEVERAL = "several digits stand side by side: `tenfold read` reads them"


@dataclass(frozen=True, eq=False)
class PictureSteps:
    """What became of a picture, step by step.

    Attributes:
      original: The picture as worked on: uint8 (h, w), or (h, w, 3) in colour.
      image: What the model sees, uint8 of the contract's shape.
      ink: The ink found, uint8 (h, w), light on dark; None where no ink is looked for.
      box: x, y, width and height of the digit in pixels of the file; None without one.
      polarity: Of ink and paper on the picture; None where no ink is looked for.
      problem: Why no answer can be sure; None: nothing is wrong.
      notes: What a reader should know of its pixels.
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
    """Read a picture file, or its bytes, as a model sees it that accepts such pictures.

    Raises:
      DataError: The model's crop cannot be done at its size.
      FormatError: A damaged file, or no picture.
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
            fix=f"With --no-fit a picture of {size} is taken as it is",
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
    # The fit is light on dark, whatever the model was trained on.
    image = like_training(fit.image[None], accepted, where)[0][0]
    frame = (x, y, width, height)
    return PictureSteps(fit.grey, image, fit.ink, frame, fit.polarity, _several(fit.grey))


def _several(grey: NDArray[np.uint8]) -> str | None:
    """Why a picture, as worked on, is no picture of one digit; None: it may be one."""
    if max(grey.shape) <= box.SIDE_PX:  # of one digit's size
        return None
    try:
        n = page_layout.count_side_by_side(grey)
    except box.NothingDrawn:
        return None
    return SEVERAL if n > 1 else None


def as_trained(
    x: NDArray[Any], accepted: ImageInput, where: object
) -> tuple[NDArray[np.uint8], list[str]]:
    """Pictures in the scale and polarity of a model's training, and what a reader should know.

    The arguments are those of `as_pixels`, and what the model accepts.
    """
    if not len(x):
        return x, []
    pixels, notes = as_pixels(x, where)
    pixels, more = like_training(pixels, accepted, where)
    return pixels, notes + more


def centred(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The largest part in the middle that has these proportions, area-resampled to this size."""
    from PIL import Image

    old: Any = pixels.shape[:2]
    # The cut side in whole pixels, at least one; halves to the even number.
    if old[1] * height > old[0] * width:
        part = (old[0], max(1, round(old[0] * width / height)))
    else:
        part = (max(1, round(old[1] * height / width)), old[1])
    top, left = ((side - cut) // 2 for side, cut in zip(old, part, strict=True))
    cut = np.ascontiguousarray(pixels[top : top + part[0], left : left + part[1]])
    if part == (height, width):
        return cut
    return np.array(Image.fromarray(cut).resize((width, height), Image.Resampling.BOX))
