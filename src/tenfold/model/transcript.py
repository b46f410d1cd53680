"""The transcript of a page: lines of digits with their confidence, and an annotated picture."""

import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.colours import ACCENT, AGAINST, rgb
from tenfold.core.errors import DataError
from tenfold.inputs.pictures import mnist_box as box
from tenfold.inputs.pictures import page_layout
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions, read_picture
from tenfold.model.model import Model
from tenfold.model.predictions import Prediction, Predictions

SHOWN_PX = 1600
"""Maximum longer side of the annotated picture."""

SURE, DOUBTFUL = rgb(ACCENT), rgb(AGAINST)
"""The colours of boxes: blue, and for unsure digits orange, with a question mark."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadDigit:
    """One digit of a page.

    Attributes:
      answer: The model's prediction. `answer.image` is what it saw, uint8 (28, 28).
      box: x, y, width and height in pixels of the picture, after applying the EXIF orientation.
    """

    answer: Prediction
    box: box.Box

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.answer.label

    def as_json(self) -> dict[str, Any]:
        """The JSON form of `tenfold read --json`."""
        answer = self.answer
        facts = {"confidence": answer.confidence, "unsure": answer.unsure}
        return {"label": self.label, **facts, "box": list(self.box)}


@dataclass(frozen=True, eq=False)
class Transcript:
    """The digits that a model reads on a page.

    Attributes:
      lines: The lines from top to bottom, each with its digits from left to right. There are none
        for a blank page.
      page: The steps by which the digits were found, see
        `tenfold.inputs.pictures.page_layout.Page`. None for a blank page.
    """

    lines: tuple[tuple[ReadDigit, ...], ...]
    page: page_layout.Page | None

    @property
    def texts(self) -> list[str]:
        """The number on each line."""
        return ["".join(digit.label for digit in line) for line in self.lines]

    @property
    def text(self) -> str:
        """All lines, separated by line ends."""
        return "\n".join(self.texts)

    def __repr__(self) -> str:
        return f"Transcript({self.texts})"


@files.os_errors()
def transcribe(
    model: Model, picture: Path | str | NDArray[Any], options: PictureOptions = DEFAULT_OPTIONS
) -> Transcript:
    """Read the digits on a page.

    Args:
      model: A model of 28 x 28 grey pixels.
      picture: A picture file, or a grey picture uint8 (h, w).
      options: Only `apply_exif` and `max_pixels` matter here.

    Raises:
      DataError: The model is for other inputs, or the array is not a grey picture.
      FormatError: The file is damaged, or in none of the formats of
        `tenfold.inputs.pictures.decode`.
      FileError: The file cannot be opened or read.
    """
    _check_reads_digits(model)
    where, step = None, 1
    if isinstance(picture, str | Path):
        where = picture
        decoded = read_picture(picture, at_least_px=page_layout.WORK_PX, options=options)
        picture, step = decoded.pixels, decoded.step
    try:
        page = page_layout.read_page(picture, where=where)
    except box.NothingDrawn:
        return Transcript((), None)
    images = [digit.image for line in page.lines for digit in line]
    answers = model.answer(np.array(images, np.uint8).reshape(-1, box.SIDE_PX, box.SIDE_PX))
    assert isinstance(answers, Predictions)
    answered = iter(answers)
    lines = tuple(
        tuple(ReadDigit(next(answered), _scaled(digit.box, step)) for digit in line)
        for line in page.lines
    )
    return Transcript(lines, page)


def _scaled(frame: box.Box, factor: float) -> box.Box:
    x, y, width, height = (round(side * factor) for side in frame)
    return x, y, max(1, width), max(1, height)


def _check_reads_digits(model: Model) -> None:
    accepted, side = model.contract.input, box.SIDE_PX
    shape = accepted.shape if accepted.kind == "image" else None
    fits = accepted.kind == "image" and accepted.crop == "ink"
    if not fits or shape != (side, side):
        raise DataError(
            "E515",
            "This model cannot read pages",
            expected=f"a model of {side} x {side} grey pixels that fits ink to them",
            accepts=accepted.kind,
            size=shape,
        )


def annotated(
    read: Transcript, picture: Path | str, options: PictureOptions = DEFAULT_OPTIONS
) -> bytes:
    """Draw a box around each digit on the page, with its label above. Returns a PNG file as
    bytes."""
    from PIL import Image, ImageDraw, ImageFont

    decoded = read_picture(picture, channels=3, at_least_px=SHOWN_PX, options=options)
    image = Image.fromarray(decoded.pixels)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    factor = max(image.size) / (max(decoded.pixels.shape[:2]) * decoded.step)
    draw = ImageDraw.Draw(image)
    pen = max(1, max(image.size) // 500)
    for digit in itertools.chain.from_iterable(read.lines):
        x, y, width, height = _scaled(digit.box, factor)
        doubt = digit.answer.unsure
        colour = DOUBTFUL if doubt else SURE
        draw.rectangle((x - pen, y - pen, x + width + pen, y + height + pen), None, colour, pen)
        font = ImageFont.load_default(size=max(10, min(48, height // 2)))
        text = digit.label + ("?" if doubt else "")
        left, top, right, bottom = font.getbbox(text)
        at = (x - pen, max(0, y - pen - (bottom - top) - 4))
        draw.rectangle((*at, at[0] + right - left + 4, at[1] + bottom - top + 4), colour)
        draw.text((at[0] + 2 - left, at[1] + 2 - top), text, (255, 255, 255), font)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def write_annotated(
    read: Transcript,
    picture: Path,
    folder: Path,
    options: PictureOptions = DEFAULT_OPTIONS,
) -> Path:
    """Write the annotated picture into `folder`, without overwriting a file.

    Its name is `photo.read.png`, or `photo.read-2.png` if that exists.
    """
    content = annotated(read, picture, options)
    path = files.free_name(folder, f"{picture.stem}.read", ".png")
    files.write_bytes(path, content)
    return path


def transcript_json(read: Transcript) -> list[dict[str, Any]]:
    """The lines in the form of `tenfold read --json` (docs/format.md)."""
    return [
        {"text": text, "digits": [digit.as_json() for digit in line]}
        for text, line in zip(read.texts, read.lines, strict=True)
    ]
