"""Convert table files and data frames to datasets of rows, or of the pictures in a column."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tenfold.core.contract import Contract
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.data.from_column import column_dataset, picture_column
from tenfold.data.from_table import table_dataset
from tenfold.data.sources import pixel_label
from tenfold.inputs.tables.read import (
    as_frame,
    is_table_name,
    is_text,
    read_frame,
    read_table,
    read_values,
)

NO_CELLS = ("E223", "E225")
"""The error codes for columns whose values are not cells: nested values, and bytes that are not
text."""


def is_table(path: Path, reading: Reading) -> bool:
    """Whether to load a file as a table.

    The name of the file decides, unless the file contains pixels and only the name of its label is
    given. Any file is a table if options for tables are given.
    """
    if path.is_dir() or path.suffix.lower() == ".npz":
        return False
    said = reading.model_copy(update={"white": None})
    if not is_table_name(path):
        return said != Reading() and is_text(path)
    if path.suffix.lower() != ".csv" or (label := pixel_label(path)) is None:
        return True
    return said not in (Reading(), Reading(target=label))


def load_table(path: Path, reading: Reading, like: Contract | None) -> Dataset:
    """Load the dataset of a table file. The errors are those of `load`."""
    try:
        cells = read_table(
            path,
            header=reading.header,
            separator=reading.separator,
            encoding=None if like else reading.encoding,
            otherwise=reading.encoding if like else None,  # other files are checked for UTF-8
            known=_header_names(reading, like),
            unread=reading.unread,
        )
    except DataError as error:
        values = read_values(path) if error.code in NO_CELLS else None
        data = _pictures_in(values, path.name, error, reading, like)
    else:
        _check_no_white(reading, path)
        data = table_dataset(cells, reading, like=like)
    return replace(data, source=str(path))


def load_frame(source: Any, reading: Reading, like: Contract | None) -> Dataset:
    """Load the dataset of a data frame, or of an Arrow stream."""
    try:
        cells = read_frame(source, unread=reading.unread)
    except DataError as error:
        values = as_frame(source) if error.code in NO_CELLS else None
        return _pictures_in(values, "table", error, reading, like)
    return table_dataset(cells, reading, like=like)


def check_no_table(reading: Reading, name: str, *, are_numbers: bool = True) -> None:
    """Refuse options for tables if the data are images.

    The value of white may be given for files whose numbers have a scale.
    """
    said_of_images = {"white"} if are_numbers else set[str]()
    of_tables = reading.model_dump(exclude_defaults=True, exclude=said_of_images)
    if of_tables:
        wrong = "Options for tables do not apply to images"
        raise DataError("E419", wrong, where=name, fix="Leave them out", **of_tables)


def _pictures_in(
    frame: Any, name: str, error: DataError, reading: Reading, like: Contract | None
) -> Dataset:
    """Load the pictures of a column whose values are not cells, or else raise the original
    error."""
    is_other = like is not None and like.input.kind != "image"
    if frame is None or is_other or picture_column(frame) is None:
        raise error
    check_no_table(reading.model_copy(update={"target": None}), name)
    data = column_dataset(frame, name, reading, like=like)
    if like is not None and like.input.kind == "image":
        return data.as_trained(like.input)
    return data


def _check_no_white(reading: Reading, where: object) -> None:
    if reading.white is not None:
        raise DataError(
            "E449",
            "--white applies to pictures only",
            where=where,
            fix="Leave it out",
            white=reading.white,
        )


def _header_names(reading: Reading, like: Contract | None) -> tuple[str, ...]:
    """Names by which the first row of a table is recognised as a header."""
    if like is not None and like.input.kind == "table":
        return like.input.names
    target = reading.target or ""
    return () if not target or target.lstrip("-").isdigit() else (target,)
