"""Make images from a table with a column of pictures, whose cells contain files (as in Hugging
Face's datasets) or lists of pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.data.from_folder import Example, dataset_of_pictures
from tenfold.data.sources import read_arrays
from tenfold.data.sources.labelled import N_PIXELS, SIDE_PX, named_codes
from tenfold.inputs.pictures.decode import is_picture_content
from tenfold.inputs.pictures.pixels import training_pixels
from tenfold.inputs.tables.read import JSON_LINES, read_frame, read_values

if TYPE_CHECKING:
    import pandas as pd

LABEL_NAMES = ("label", "labels", "class", "target", "y", "digit", "fine_label")
"""Names of the column of labels that are recognised, in lower case."""


def _may_hold_pictures(path: Path) -> bool:
    """Whether a file with this name may have columns whose values are not cells."""
    return path.suffix.lower() in {*JSON_LINES, ".json", ".parquet", ".feather", ".arrow"}


def picture_column(frame: "pd.DataFrame") -> str | None:
    """The first column whose first present cell is a picture. None if there is none."""
    for name in frame.columns:
        first = next((cell for cell in frame[name] if cell is not None), None)
        if _file_content(first) is not None or _pixels(first) is not None:
            return str(name)
    return None


def column_dataset(
    frame: "pd.DataFrame", name: str, reading: Reading, *, like: Contract | None = None
) -> Dataset:
    """Make a dataset of a table with a column of pictures and a column of labels.

    Files in cells are read like those of a folder. Lists are numbers of any scale.

    Raises:
      DataError: The column of labels is not clear, or there are options that only apply to tables
        of cells.
    """
    pictures = picture_column(frame) or ""
    label = _label_column(frame, pictures, reading.target, name)
    answers = read_frame(frame[[label]], name)[label].texts.tolist()
    cells = _cells_of_pictures(frame[pictures].tolist(), pictures, name)
    keys = [f"{name}:{row}" for row in range(len(cells))]
    others = [str(column) for column in frame.columns if column not in (pictures, label)]
    notes = [f"pictures of the column {pictures}, labels of {label}"]
    notes += [f"columns beside pictures, not used: {', '.join(others[:5])}"] if others else []
    if isinstance(cells, list):
        examples = [
            Example(content, key, "train", answer)
            for content, key, answer in zip(cells, keys, answers, strict=True)
        ]
        data = dataset_of_pictures(examples, name, like=like, white=reading.white)
        return replace(data, notes=tuple(notes))
    x, scale = training_pixels(cells, name, reading.white)
    y, labels = named_codes(answers, name)
    return Dataset(name, x, y, labels, keys, notes=(*notes, *scale), white=reading.white)


def read_pictures(path: Path) -> list[bytes] | NDArray[Any]:
    """The pictures of a file without labels: the bytes of files in a column, or numbers.

    Raises:
      DataError: There is no column of pictures, or the pictures have different sizes.
    """
    if not _may_hold_pictures(path):
        return read_arrays(path)
    frame = read_values(path)
    pictures = None if frame is None else picture_column(frame)
    if frame is None or pictures is None:
        raise DataError(
            "E452",
            "The table has no column of pictures",
            where=path,
            expected="a column of pictures",
        )
    return _cells_of_pictures(frame[pictures].tolist(), pictures, path)


def _cells_of_pictures(
    cells: Sequence[Any], column: str, where: object
) -> list[bytes] | NDArray[Any]:
    """The cells of a column of pictures. A missing file is empty."""
    if _file_content(next(cell for cell in cells if cell is not None)) is not None:
        return [_file_content(cell) or b"" for cell in cells]
    images = [_pixels(cell) for cell in cells]
    shapes = {None if image is None else image.shape for image in images}
    if len(shapes) > 1:
        raise DataError(
            "E451",
            "The pictures of a column have different sizes",
            where=where,
            expected="the same size in all rows",
            column=column,
            shapes=sorted(map(str, shapes))[:3],
        )
    return np.stack([image for image in images if image is not None])


def _label_column(frame: "pd.DataFrame", pictures: str, asked: str | None, where: str) -> Any:
    """The requested column, or else one with a usual name of labels, or the only other column."""
    others = {str(name): name for name in frame.columns if str(name) != pictures}
    likely = [name for name in others if name.lower() in LABEL_NAMES] or list(others)
    if asked is not None:
        likely = [name for name in others if name == asked]
    if len(likely) != 1:
        raise DataError(
            "E450",
            "No column of labels is chosen",
            where=where,
            expected=f"one of {', '.join(others) or 'none'}",
            fix=None if asked else "Name it with --target",
            column=asked,
        )
    return others[likely[0]]


def _file_content(cell: Any) -> bytes | None:
    """The bytes of a picture file in a cell, also in Hugging Face's form {bytes, path}."""
    if isinstance(cell, Mapping) and "bytes" in cell:
        content = cell["bytes"]  # a path in it is not trusted and not followed
        return content if isinstance(content, bytes) else None
    if isinstance(cell, bytes) and is_picture_content(cell[:12]):
        return cell
    return None


def _pixels(cell: Any) -> NDArray[Any] | None:
    """A list of numbers as a picture (h, w) or (h, w, 3). A flat list is a square picture, as in
    MNIST."""
    if not isinstance(cell, list | np.ndarray):
        return None
    try:
        pixels = np.array(cell.tolist() if isinstance(cell, np.ndarray) else cell)
        pixels = np.array([np.stack(row) for row in cell]) if pixels.dtype == object else pixels
    except (ValueError, TypeError):
        return None
    if pixels.dtype.kind not in "biuf":
        return None
    if pixels.shape == (N_PIXELS,):
        pixels = pixels.reshape(SIDE_PX, SIDE_PX)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    return pixels if is_picture and pixels.size else None
