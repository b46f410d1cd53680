"""The test images of a run as one picture, for the report to show any of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files

SHEET = "test_images.png"
"""The test images of a run, wrong ones first."""

COLUMNS = 100
MAX_SIDE_PX = 112
"""Larger images are shrunk to this longer side: thumbnails of 56 on a screen of two pixels a point,
and a sheet of 11,200, which browsers still show."""

MAX_VALUES = 12_000_000
"""Pixels of a sheet, at most: 15,000 digits. The report is to be mailed."""

GREYS = 16
"""Levels of grey that are kept: half the bytes of 256, and no eye sees it in a thumbnail."""


class Layout(NamedTuple):
    """How a sheet is laid out: the size of each image on it, how many, and how many in a row."""

    height: int
    width: int
    n: int
    columns: int


def layout(n: int, shape: tuple[int, ...]) -> Layout:
    """The sheet of n images of a shape (height, width) or (height, width, 3)."""
    ratio = min(1.0, MAX_SIDE_PX / max(shape[:2]))
    height, width = (max(1, round(side * ratio)) for side in shape[:2])
    n_shown = min(n, MAX_VALUES // (height * width * int(np.prod(shape[2:]))))
    return Layout(height, width, n_shown, min(COLUMNS, n_shown))


def write_sheet(path: Path, images: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    """Write the first of `order` that there is room for, at most 100 in a row, as a PNG.

    Images are uint8 (n, height, width) or (n, height, width, 3).
    """
    from PIL import Image

    height, width, n, columns = layout(len(order), images.shape[1:])
    shown = images[order[:n]]
    if shown.shape[1:3] != (height, width):
        box = Image.Resampling.BOX
        small = [np.array(Image.fromarray(image).resize((width, height), box)) for image in shown]
        shown = np.array(small)
    rows = -(-n // columns)
    padded = np.zeros((rows * columns, *shown.shape[1:]), np.uint8)
    padded[:n] = shown
    grid = padded.reshape(rows, columns, *shown.shape[1:]).swapaxes(1, 2)
    sheet = np.ascontiguousarray(grid).reshape(rows * height, columns * width, *shown.shape[3:])
    if sheet.ndim == 3:
        picture = Image.fromarray(sheet).quantize(64, method=Image.Quantize.FASTOCTREE)
        bits = 8
    else:
        levels = ((sheet.astype(np.uint16) * (GREYS - 1) + 127) // 255).astype(np.uint8)
        picture = Image.fromarray(levels, mode="P")
        picture.putpalette([level * 255 // (GREYS - 1) for level in range(GREYS) for _ in "rgb"])
        bits = 4
    with files.durable(path) as file:
        picture.save(file, "PNG", bits=bits, compress_level=6)
