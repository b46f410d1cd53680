"""The test images of a run as one picture, for the report to show any of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold import files

COLUMNS = 100
MAX_VALUES = 12_000_000
"""Pixels of a sheet, at most: 15,000 digits. The report is to be mailed."""

GREYS = 16
"""Levels of grey that are kept: half the bytes of 256, and no eye sees it in a thumbnail."""


def sheet_order(
    right: NDArray[np.bool], confidence: NDArray[np.floating[Any]]
) -> NDArray[np.int64]:
    """Rows in the order of the sheet: wrong ones first, and of each the most confident first."""
    order: NDArray[np.int64] = np.lexsort((-confidence, right))
    return order


def n_pictured(n: int, shape: tuple[int, ...]) -> int:
    """How many of n images of this shape a sheet holds."""
    return min(n, MAX_VALUES // int(np.prod(shape)))


def write_sheet(path: Path, images: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    """Write the first of `order` that there is room for, 100 in a row, as a PNG.

    Args:
      path: The picture.
      images: uint8 (n, height, width) or (n, height, width, 3).
      order: Row numbers, the first first.
    """
    from PIL import Image

    shown = images[order[: n_pictured(len(order), images.shape[1:])]]
    height, width = shown.shape[1:3]
    rows = -(-len(shown) // COLUMNS)
    padded = np.zeros((rows * COLUMNS, *shown.shape[1:]), np.uint8)
    padded[: len(shown)] = shown
    grid = padded.reshape(rows, COLUMNS, *shown.shape[1:]).swapaxes(1, 2)
    sheet = np.ascontiguousarray(grid).reshape(rows * height, COLUMNS * width, *shown.shape[3:])
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
