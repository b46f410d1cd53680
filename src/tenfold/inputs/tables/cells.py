"""A table as cells of text, and values of a pandas frame as cells."""

import math
import unicodedata
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 10_000

MAX_CELL = 131_072
"""Characters of a cell, at most: those that Python's `csv` module reads."""

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "<na>", "nat"})
"""Cells that say nothing, compared in lower case, where nothing else is asked for."""

_missing: ContextVar[frozenset[str]] = ContextVar("missing", default=MISSING)
"""The same while a table is read: all that looks at its cells must agree."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A table as text.

    Attributes:
      name: What it is called.
      frame: A column of `str` per header, without blanks around; "" where a cell is missing.
      header: Whether the names come from the file.
      notes: What was found out about the file, for a reader.
      separator: What separates the cells of a text file; empty for other sources.
    """

    name: str
    frame: "pd.DataFrame"
    header: bool
    notes: tuple[str, ...] = ()
    separator: str = ""

    def __len__(self) -> int:
        return len(self.frame)


@contextmanager
def missing_texts(texts: Sequence[str] | None) -> Iterator[None]:
    """While it is open these texts say nothing, beside an empty cell; None: those of `MISSING`."""
    chosen = MISSING if texts is None else frozenset({"", *(text.lower() for text in texts)})
    token = _missing.set(chosen)
    try:
        yield
    finally:
        _missing.reset(token)


def is_missing(cells: "pd.Series[Any]") -> "pd.Series[bool]":
    """Whether each cell says nothing."""
    return cells.str.lower().isin(_missing.get())


def from_frame(frame: "pd.DataFrame", name: str = "table", unread: Container[str] = ()) -> Cells:
    """The cells of a pandas frame; numbers, dates, durations and bytes become their plain text.

    Levels of the index that have a name are columns too. Durations are read in seconds. Columns
    that are `unread` may hold what is no cell; they are empty then.
    """
    import pandas as pd

    if not len(frame) or not frame.shape[1]:
        raise DataError(
            "E436", "The table has no rows", where=name, expected="at least one row and column"
        )
    index = [level for level in frame.index.names if level is not None]
    index = [level for level in index if level not in frame.columns]
    if index:
        frame = frame.reset_index(level=index)
    names = column_names([str(column) for column in frame.columns], frame.shape[1], name)
    columns = [
        _as_text(frame.iloc[:, i], column, name, may_fail=column in unread)
        for i, column in enumerate(names)
    ]
    return Cells(name, clean(pd.DataFrame(dict(zip(names, columns, strict=True))), name), True)


def column_names(header: Sequence[str] | None, width: int, where: object) -> list[str]:
    """The names of a table's columns; their positions where there is no header."""
    if width > MAX_COLUMNS:
        raise DataError(
            "E217",
            "The table has too many columns",
            where=where,
            expected=f"<= {MAX_COLUMNS}",
            n=width,
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
            expected="a name of its own for each column",
            fix="Rename them, or say --no-header if the first row is data",
            names=repeated[:5],
        )
    return names


def clean(frame: "pd.DataFrame", where: object) -> "pd.DataFrame":
    """Cells without blanks around, in the one form that Unicode has for equal text (NFC)."""
    for name in frame.columns:
        frame[name] = frame[name].str.strip().str.normalize("NFC")
        longest = int(frame[name].str.len().max())
        if longest > MAX_CELL:
            raise too_long(where, row=int(frame[name].str.len().argmax()), column=str(name))
    return frame


def too_long(where: object, **facts: object) -> DataError:
    """The error of a cell that is longer than `MAX_CELL`."""
    return DataError(
        "E224",
        "A cell contains too much text",
        where=where,
        expected=f"at most {MAX_CELL:,} characters",
        fix="Leave its column out of the file",
        **facts,
    )


def _as_text(
    column: "pd.Series[Any]", name: str, where: str, *, may_fail: bool
) -> "pd.Series[str]":
    """The cells of a column; empty where they are none and it `may_fail`."""
    import pandas as pd

    if may_fail:
        try:
            text = _as_text(column, name, where, may_fail=False)
            return text.where(text.str.len() <= MAX_CELL, "")
        except DataError:
            return pd.Series([""] * len(column), dtype=str)

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_float_dtype(column):
        numbers = column.to_numpy(np.float64, na_value=np.nan).tolist()
        text = pd.Series([number_text(value) for value in numbers], dtype=str)
    elif pd.api.types.is_datetime64_any_dtype(column):
        text = column.map(lambda value: "" if pd.isna(value) else value.isoformat())
    elif pd.api.types.is_timedelta64_dtype(column):
        text = column.dt.total_seconds().map(number_text)
    else:
        first = next((value for value in column if value is not None), None)
        if isinstance(first, list | dict | tuple | set) or type(first).__name__ == "ndarray":
            raise DataError(
                "E223",
                "A column contains lists or objects",
                where=where,
                expected="one value a cell",
                column=name,
            )
        values = column.astype(object).where(column.notna(), "")
        try:
            text = values.map(_value_text)
        except UnicodeDecodeError as error:
            raise DataError(
                "E225",
                "A column contains bytes that are not text",
                where=where,
                expected="text in UTF-8",
                column=name,
                reason=error.reason,
            ) from error
    return text.fillna("").astype(str).reset_index(drop=True)


def _value_text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    if isinstance(value, timedelta):
        return number_text(value.total_seconds())
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """A number as a short cell that is read as the same number in every column; NaN is missing.

    Example:
      >>> [number_text(value) for value in (2.0, 0.1, 1.125, -1e30)]
      ['2', '0.1', '1.1250', '-1e+30']
    """
    is_whole = not math.isnan(value) and value.is_integer() and abs(value) < 2**53
    return str(int(value)) if is_whole else float_text(value)


def float_text(value: float) -> str:
    """The same with a fraction throughout: 2.0.

    What could be a number of thousands with a decimal comma gets a zero: 1.125 would be 1125.
    """
    if math.isnan(value):
        return ""
    text = repr(float(value))
    whole, _, fraction = text.lstrip("-").partition(".")
    is_unclear = len(fraction) == 3 and fraction.isdigit() and len(whole) <= 3 and whole != "0"
    return f"{text}0" if is_unclear else text
