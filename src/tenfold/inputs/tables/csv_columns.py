"""Read the columns of a CSV text with pandas, when its dialect is known.

The first rows of a column decide whether it is read as numbers, or as text of which each distinct
value is kept once. A column that contains any other cell than numbers becomes text.
different one is kept once. All rows are held to it: a column with a cell that is no number is text.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.inputs.tables.cells import FIRST_ROWS
from tenfold.inputs.tables.texts import LARGEST_WHOLE, PLAIN_NUMBER, CellColumn, PlainNumbers, Texts

if TYPE_CHECKING:
    import pandas as pd

COPIED_AT_ONCE = 1 << 16

FEW = 0.1
"""If the first rows have at most this many distinct numbers, they are kept as text, because labels
may be."""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text file are written.

    Attributes:
      separator: The character between cells.
      quote: The character around cells that contain a separator. Empty: quotes are text.
      escape: The character before a quote that is text, if quotes are not doubled.
      blanks: Whether there are spaces between a separator and a quote.
      width: The number of cells in a row.
    """

    separator: str
    quote: str = '"'
    escape: str | None = None
    blanks: bool = False
    width: int = 1

    @property
    def options(self) -> dict[str, Any]:
        """The dialect as options of `csv.reader`, which have the same names in pandas."""
        return {
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "quotechar": self.quote or '"',
            "escapechar": self.escape,
            "doublequote": self.escape is None,
            "skipinitialspace": self.blanks,
        }

    def rows(self, text: str, *, strict: bool = False) -> Any:
        """The rows of a text. Blank lines are empty rows."""
        lines = _lines(text)
        return csv.reader(lines, delimiter=self.separator, strict=strict, **self.options)


def _lines(text: str) -> Iterator[str]:
    """The lines of a text with their ends. Only as much of it is copied as is used."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + COPIED_AT_ONCE) + 1 or len(text)
        yield from io.StringIO(text[start:end], newline="")
        start = end


@dataclass(frozen=True)
class CsvRows:
    """The rows of a CSV text.

    Attributes:
      text: The text in UTF-8.
      dialect: How the cells are written.
      names: The names of the columns.
      skip_first: Whether the first row is a header.
    """

    text: bytes
    dialect: Dialect
    names: tuple[str, ...]
    skip_first: bool

    @property
    def has_quotes(self) -> bool:
        """Whether cells may contain a separator."""
        marks = (self.dialect.quote, self.dialect.escape)
        return any(mark is not None and mark.encode() in self.text for mark in marks if mark)

    def read(self, **options: Any) -> "pd.DataFrame":
        """The cells as read by pandas."""
        import pandas as pd

        frame: pd.DataFrame = pd.read_csv(
            io.BytesIO(self.text),
            sep=self.dialect.separator,
            header=0 if self.skip_first else None,
            names=list(self.names),
            index_col=False,
            # In a single column a blank line is a missing cell.
            skip_blank_lines=self.dialect.width > 1,
            **self.dialect.options,
            **options,
        )
        return frame

    def columns(self) -> dict[str, CellColumn]:
        """All columns as text."""
        cells = _apart(self.read(dtype=object, na_filter=False))
        return {name: Texts.of(cells.pop(name)) for name in self.names}

    def column(self, position: int) -> Texts:
        """A single column as text."""
        frame = self.read(dtype=object, na_filter=False, usecols=[position])
        return Texts.of(frame.iloc[:, 0])


def _apart(frame: "pd.DataFrame") -> dict[str, "pd.Series[Any]"]:
    """The columns of a data frame, each of which can be released. (`DataFrame.pop` visits all
    columns to remove one, which takes 30 seconds for 2,000.)"""
    return {str(name): cells for name, cells in frame.items()}


def read_columns(body: CsvRows, header: Sequence[str]) -> dict[str, CellColumn] | None:
    """The columns of a text of many rows, or None if some row may have another length.

    pandas refuses rows that are too long and fills rows that are too short, in which case the text
    has fewer separators than its rows need.

    Args:
      body: The text.
      header: The cells of its first row.
    """
    import pandas as pd

    separator = body.dialect.separator
    if not separator.isascii():
        return None
    first = body.read(dtype=object, na_filter=False, nrows=FIRST_ROWS)
    texts = [name for name in body.names if _is_text(first[name].tolist())]
    try:
        frame = body.read(
            dtype=dict.fromkeys(texts, str),
            na_values={name: [""] for name in body.names if name not in texts},
            keep_default_na=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, ValueError):
        return None
    cells_of = _apart(frame)
    n_rows = len(frame)
    del frame
    n_inside = sum(cell.count(separator) for cell in header) if body.skip_first else 0
    may_hold = body.has_quotes
    n_needed = (n_rows + body.skip_first) * (body.dialect.width - 1)
    columns: dict[str, CellColumn] = {}
    for position, name in enumerate(body.names):
        cells = cells_of.pop(name)
        numbers = _numbers(cells)
        if numbers is not None:
            read, is_whole = partial(body.column, position), cells.dtype.kind == "i"
            columns[name] = PlainNumbers(numbers, Texts.of(first[name]), read, is_whole)
        elif name in texts or isinstance(cells.dtype, pd.StringDtype):
            columns[name] = _texts(cells)
            n_inside += _n_inside(cells, separator) if may_hold else 0
        else:  # integers that are too large, true and false
            columns[name] = body.column(position)
    n_found = body.text.count(separator.encode())
    return columns if n_found == n_needed + n_inside else None


def _is_text(first: Sequence[str]) -> bool:
    """Whether the first cells of a column show that it should be read as text."""
    different = set(first)
    is_number = all(not text or PLAIN_NUMBER.fullmatch(text.strip()) for text in different)
    return not is_number or len(different) <= FEW * len(first)


def _numbers(cells: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """The numbers of a column (n,). None if it has other cells, or numbers that float64 rounds."""
    if cells.dtype.kind not in "if":
        return None
    values = cells.to_numpy(np.float64)
    is_large = np.abs(values) >= LARGEST_WHOLE
    return None if is_large.any() else values


def _texts(cells: "pd.Series[Any]") -> Texts:
    import pandas as pd

    return Texts.coded(*pd.factorize(cells), in_order=True)


def _n_inside(cells: "pd.Series[Any]", separator: str) -> int:
    """Number of separators inside cells."""
    return sum(text.count(separator) for text in cells.fillna(""))
