"""A table as cells of text, and the values of a pandas data frame as cells."""

import math
import unicodedata
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.inputs.tables.texts import (
    LARGEST_WHOLE,
    CellColumn,
    PlainNumbers,
    Rows,
    Texts,
    numbers_are_missing,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 10_000

MAX_CELL = 131_072
"""Maximum number of characters of a cell, the limit of Python's `csv` module."""

FIRST_ROWS = 1_000
"""Number of first rows that determine how the cells of a column are read."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A table as written in its source.

    Attributes:
      name: The name of the table.
      columns: The texts or plain numbers of each column, by header.
      header: Whether the names come from the file.
      notes: What was recognised about the file, for the user.
      separator: The separator of the cells of a text file. Empty for other sources.
      places: The position of each row in the source, from 0. None: the rows are in its order.
    """

    name: str
    columns: Mapping[str, CellColumn]
    header: bool
    notes: tuple[str, ...] = ()
    separator: str = ""
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        if self.places is not None:
            return len(self.places)
        return len(next(iter(self.columns.values())))

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> CellColumn:
        """A column. It is returned as texts if some numbers stand for missing cells."""
        column = self.columns[name]
        return column.texts if numbers_are_missing() else column

    @property
    def names(self) -> list[str]:
        """The headers of the columns, in their order."""
        return list(self.columns)

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """The position of each row in the source, from 0 (n,)."""
        return np.arange(len(self)) if self.places is None else self.places

    def as_text(self) -> dict[str, list[str]]:
        """The text of each cell, by column."""
        return {name: self[name].texts.tolist() for name in self.names}

    def take(self, rows: Rows) -> "Cells":
        """The cells of these rows."""
        taken = _Taken(self.columns, rows)
        return replace(self, columns=taken, places=self.row_numbers[rows])

    def with_columns(self, columns: Mapping[str, CellColumn]) -> "Cells":
        """Return a copy with further columns, or with columns of the same name replaced."""
        return replace(self, columns={**self.columns, **columns})


class _Taken(Mapping[str, CellColumn]):
    """The columns of some rows. Each is made when it is first used."""

    def __init__(self, columns: Mapping[str, CellColumn], rows: Rows) -> None:
        self._columns, self._rows = columns, rows
        self._taken: dict[str, CellColumn] = {}

    def __getitem__(self, name: str) -> CellColumn:
        if name not in self._taken:
            self._taken[name] = self._columns[name].take(self._rows)
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def from_frame(frame: "pd.DataFrame", name: str = "table", unread: Container[str] = ()) -> Cells:
    """The cells of a pandas data frame. Numbers, dates, durations and bytes become plain text.

    Named levels of the index are columns, too. Durations are converted to seconds. Columns that are
    `unread` may contain values that are not cells. Such columns become empty.
    """
    if not len(frame) or not frame.shape[1]:
        raise DataError(
            "E436", "The table has no rows", where=name, expected="at least one row and column"
        )
    index = [level for level in frame.index.names if level is not None]
    index = [level for level in index if level not in frame.columns]
    if index:
        frame = frame.reset_index(level=index)
    names = column_names([str(column) for column in frame.columns], frame.shape[1], name)
    columns: dict[str, CellColumn] = {}
    for i, column in enumerate(names):
        if column in unread:
            columns[column] = _unread(frame.iloc[:, i])
        else:
            columns[column] = _column(frame.iloc[:, i], column, name)
    return Cells(name, columns, header=True)


def _unread(column: "pd.Series[Any]") -> CellColumn:
    """The cells of a column that is not needed. They are empty if they are too long or not
    cells."""
    try:
        texts = _texts(column, "", "")
    except DataError:
        return Texts.of([""] * len(column))
    cells = (text if len(text) <= MAX_CELL else "" for text in texts.different)
    return Texts.coded(texts.codes, cells)


SCALARS = frozenset({str, int, float, bool, type(None)})
"""The JSON types of a cell."""


def from_rows(rows: Sequence[Mapping[str, Any]], name: str = "rows") -> Cells:
    """The cells of rows that map names of columns to values."""
    import pandas as pd

    kinds = {type(value) for row in rows for value in row.values()}
    if not rows or not kinds or not kinds <= SCALARS:
        return from_frame(pd.DataFrame.from_records([dict(row) for row in rows]), name)
    headers = list(dict.fromkeys(header for row in rows for header in row))
    names = column_names(list(map(str, headers)), len(headers), name)
    columns: dict[str, CellColumn] = {}
    for header, column in zip(headers, names, strict=True):
        values = (row.get(header) for row in rows)
        texts = Texts.of("" if value is None else _value_text(value) for value in values)
        columns[column] = refuse_long_cells(texts, name, column)
    return Cells(name, columns, header=True)


def column_names(header: Sequence[str] | None, width: int, where: object) -> list[str]:
    """The names of a table's columns, or their positions if there is no header."""
    if width > MAX_COLUMNS:
        raise DataError(
            "E217",
            "The table has too many columns",
            where=where,
            expected=f"at most {MAX_COLUMNS:,} columns",
            fix="Remove columns that the model does not need",
            n_columns=width,
        )
    if header is None:
        return [str(i) for i in range(width)]
    names = [
        unicodedata.normalize("NFC", name.strip()) or f"column {i + 1}"
        for i, name in enumerate(header)
    ]
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(
            "E218",
            "Several columns have the same name",
            where=where,
            expected="a different name for each column",
            fix="Rename them, or use --no-header if the first row contains data",
            names=repeated[:5],
        )
    return names


def refuse_long_cells(texts: Texts, where: object, column: str) -> Texts:
    """Return the texts of a column, and raise an error if one is too long for a cell."""
    lengths = [len(text) for text in texts.different]
    longest = max(lengths, default=0)
    if longest > MAX_CELL:
        row = int((texts.codes == lengths.index(longest)).argmax())
        raise too_long(where, row=row, column=column)
    return texts


def too_long(where: object, **facts: object) -> DataError:
    """Make the error for a cell that is longer than `MAX_CELL`."""
    return DataError(
        "E224",
        "A cell contains too much text",
        where=where,
        expected=f"at most {MAX_CELL:,} characters",
        fix="Leave its column out with --drop",
        **facts,
    )


def _column(column: "pd.Series[Any]", name: str, where: str) -> CellColumn:
    """The cells of a column of a data frame."""
    import pandas as pd

    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and not pd.api.types.is_complex_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan) + 0.0
        if not (np.abs(values) >= LARGEST_WHOLE).any() or _is_finite_float(column, values):
            return typed_numbers(values)
    return refuse_long_cells(_texts(column, name, where), where, name)


def _is_finite_float(column: "pd.Series[Any]", values: NDArray[np.float64]) -> bool:
    import pandas as pd

    return pd.api.types.is_float_dtype(column) and not np.isinf(values).any()


def typed_numbers(values: NDArray[np.float64]) -> PlainNumbers:
    """A column of values that are stored as numbers: float64 (n,), finite, NaN where missing."""
    first = Texts.of(map(number_text, values[:FIRST_ROWS].tolist()))
    present = values[~np.isnan(values)]
    is_whole = bool((np.trunc(present) == present).all())
    return PlainNumbers(values, first, lambda: _number_texts(values), is_whole)


def _number_texts(values: NDArray[np.float64]) -> Texts:
    import pandas as pd

    codes, different = pd.factorize(values)
    return Texts.coded(codes, map(number_text, different.tolist()))


def _texts(column: "pd.Series[Any]", name: str, where: str) -> Texts:
    """The cells of a column as text. Each distinct value is converted once."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return Texts.coded(codes, _value_texts(column.cat.categories, name, where))
    if pd.api.types.is_datetime64_any_dtype(column):
        codes, times = pd.factorize(column)
        return Texts.coded(codes, [time.isoformat() for time in times])
    if pd.api.types.is_float_dtype(column):
        return _number_texts(column.to_numpy(np.float64, na_value=np.nan))
    return Texts.of(_value_texts(column, name, where))


def _value_texts(values: "pd.Series[Any] | pd.Index[Any]", name: str, where: str) -> list[str]:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, list | dict | tuple | set) or type(first).__name__ == "ndarray":
        raise DataError(
            "E223",
            "A column contains lists or objects",
            where=where,
            expected="one value in each cell",
            column=name,
        )
    try:
        pairs = zip(values.astype(object), values.isna(), strict=True)
        return ["" if is_gone else _value_text(value) for value, is_gone in pairs]
    except UnicodeDecodeError as error:
        raise DataError(
            "E225",
            "A column contains bytes that are not text",
            where=where,
            expected="text in UTF-8",
            column=name,
            reason=error.reason,
        ) from error


def _value_text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    if isinstance(value, timedelta):
        return number_text(value.total_seconds())
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """Write a number as a short cell that is read as the same number in every column. NaN is
    missing.

    Example:
      >>> [number_text(value) for value in (2.0, 0.1, 1.125, -1e30)]
      ['2', '0.1', '1.1250', '-1e+30']
    """
    is_whole = not math.isnan(value) and value.is_integer() and abs(value) < 2**53
    return str(int(value)) if is_whole else float_text(value)


def float_text(value: float) -> str:
    """Write a number as `number_text` does, but always with a fraction: 2.0.

    Numbers that could be thousands in a file with decimal commas get a zero: 1.125 could be 1125.
    """
    if math.isnan(value):
        return ""
    text = repr(float(value))
    whole, _, fraction = text.lstrip("-").partition(".")
    is_unclear = len(fraction) == 3 and fraction.isdigit() and len(whole) <= 3 and whole != "0"
    return f"{text}0" if is_unclear else text
