"""`load` makes a `Dataset` from a name, a file or a folder."""

from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core import files
from tenfold.core.contract import Contract
from tenfold.core.errors import DataError, did_you_mean, printable
from tenfold.core.settings import Reading
from tenfold.data import catalog
from tenfold.data.dataset import Dataset
from tenfold.data.from_folder import is_picture_folder, picture_dataset
from tenfold.data.sources import pixel_label, read_images
from tenfold.data.table_files import check_no_table, is_table, load_frame, load_table


@files.os_errors()
def load(
    source: Any,
    *,
    target: str | int | None = None,
    reading: Reading | None = None,
    like: Contract | None = None,
) -> Dataset:
    """Load a dataset by name, from files, or from a pandas frame.

    Args:
      source: A name of the catalog (such as `mnist`), which has precedence over a file of the same
        name; a folder of IDX files, or with a folder of pictures for each label; an `.npz` file; a
        table in a CSV, TSV or Parquet file; or a pandas data frame. A `.csv` file with a label and
        784 pixel columns is read as images, unless any option for tables other than the target is
        given.
      target: The column of a table to predict, by name, or by position if there is no header.
      reading: All other options for a table. `target` has precedence over the target in it.
      like: The contract of a model to be measured. It determines the columns, their kinds and the
        labels of a table, or the size, channels, crop and labels of a folder of pictures.

    Raises:
      DataError: `source` is neither a known name nor a file, or the files are not a dataset.
      FormatError: A file is damaged, or has another format than its name says.
      FileError: A file cannot be read.
    """
    reading = reading or Reading()
    if target is not None:
        reading = reading.model_copy(update={"target": str(target)})
    if not isinstance(source, str | Path):
        return load_frame(source, reading, like)
    if str(source) in catalog.DATASETS:
        check_no_table(reading, str(source), are_numbers=False)
        return _as_trained(_load_by_name(str(source)), like)
    path = _existing(str(source))
    if is_table(path, reading):
        return load_table(path, reading, like)
    _check_no_parts(path)
    if reading.target is None or not _is_pixel_label(path, reading.target):
        check_no_table(reading, str(source))
    if is_picture_folder(path):
        return picture_dataset(path, like=like, white=reading.white)
    return _as_trained(_image_dataset(str(source), reading.white), like)


def _existing(source: str) -> Path:
    """The file or folder of this name. If it does not exist, the error suggests names."""
    path = Path(source)
    if printable(path) != str(path):
        raise DataError(
            "E417",
            "A file name is not UTF-8",
            where=path,
            expected="a name in UTF-8",
            fix="Rename it",
        )
    with files.os_errors("read", path):
        exists = path.exists()
    if not exists and (path.suffix or len(path.parts) > 1):
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise DataError(
            "E456",
            "There is no such file or folder",
            fix=did_you_mean(path.name, sorted(other.name for other in beside)),
            name=source,
        )
    if not exists:
        raise DataError(
            "E401",
            "There is no such dataset",
            expected=f"a file, a folder or one of {', '.join(catalog.DATASETS)}",
            fix=did_you_mean(source, catalog.DATASETS),
            name=source,
        )
    return path


def _image_dataset(source: str, white: float | None) -> Dataset:
    """Images of a file or folder that has its own training, validation and test rows."""
    images = read_images(Path(source), white)
    n_fitted = images.n_train + images.n_validation
    return Dataset(
        name=source,
        x=images.x,
        y=images.y,
        labels=images.labels,
        keys=images.keys,
        test_rows=np.arange(n_fitted, len(images.x)),
        validation_rows=np.arange(images.n_train, n_fitted),
        source=source,
        notes=images.notes,
        white=white,
    )


def _as_trained(data: Dataset, like: Contract | None) -> Dataset:
    """The images light on dark, or dark on light, as in the model's training."""
    if like is None or like.input.kind != "image":
        return data
    return data.as_trained(like.input)


def _check_no_parts(path: Path) -> None:
    """Refuse a folder with the parts of one table, such as Spark or `datasets` write."""
    with files.os_errors("look into", path):
        parts = [*path.glob("part-*"), *path.glob("*.arrow")] if path.is_dir() else []
    names = sorted(file.name for file in parts)
    if names:
        raise DataError(
            "E247",
            "A folder of part files cannot be read as one table",
            where=path,
            expected="one file of a table",
            fix="Write it as one file, with coalesce(1) of Spark or to_parquet of datasets, or "
            "read it with pandas or PyArrow",
            n_files=len(names),
            first=names[0],
        )


def _is_pixel_label(path: Path, target: str) -> bool:
    """Whether the label of a file of pixels has this name."""
    return path.suffix.lower() == ".csv" and path.is_file() and pixel_label(path) == target


def _load_by_name(name: str) -> Dataset:
    x, y = catalog.read(name)
    entry = catalog.find(name)
    keys = [
        f"{part.images.name}:{row}" for part in (entry.train, entry.test) for row in range(part.n)
    ]
    test_rows = np.arange(entry.train.n, len(x))
    return Dataset(name, x, y.astype(np.int64), entry.labels, keys, test_rows)
