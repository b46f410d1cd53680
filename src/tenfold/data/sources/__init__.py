"""Images with labels that are stored as numbers: an IDX folder, an npz file, or a CSV of pixels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import DataError
from tenfold.data.sources.idx_folder import read_idx_folder
from tenfold.data.sources.labelled import Images
from tenfold.data.sources.npz import read_npy, read_npz, read_unlabelled_npz
from tenfold.data.sources.pixel_csv import pixel_label, read_pixel_csv, read_unlabelled_csv
from tenfold.inputs.idx import read_idx
from tenfold.inputs.pictures.pixels import training_pixels

__all__ = ["Images", "pixel_label", "read_arrays", "read_images"]


def read_arrays(path: Path) -> NDArray[Any]:
    """The images of a file without their labels: IDX, `.npy`, `.npz`, or a CSV of pixels.

    The type of the file is recognised by its first bytes. The numbers are not converted.
    """
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK"):
        return read_unlabelled_npz(path)
    if start.startswith(NPY):
        return read_npy(path)
    if b"\0" not in start and start.count(b",") + start.count(b";") + start.count(b"\t") >= MANY:
        return read_unlabelled_csv(path)
    return read_idx(path)


NPY = b"\x93NUMPY"
MANY = 20
"""More separators than this in 512 bytes of text must separate columns."""


def read_images(path: Path, white: float | None = None) -> Images:
    """Read an IDX folder, an npz file or a CSV of pixels. Numbers of any scale become 0 to 255.

    `training_pixels` describes which value is white if it is not given.
    """
    images = _read_images(path)
    x, notes = training_pixels(images.x, path.name, white)
    return replace(images, x=x, notes=tuple(notes))


def _read_images(path: Path) -> Images:
    if path.is_dir():
        return read_idx_folder(path)
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
    if path.suffix.lower() == ".npz" or start.startswith(b"PK"):
        return read_npz(path)
    if path.suffix.lower() == ".csv":
        return read_pixel_csv(path)
    read_idx(path)  # this reports what is wrong with a file that is not IDX
    raise DataError(
        "E420",
        "A single IDX file is not a dataset",
        where=path,
        expected="a folder with images and labels",
        fix="Name the folder of the file",
    )
