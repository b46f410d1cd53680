"""Read the columns of a CSV text with pandas, when its dialect is known.

The first rows of a column decide whether it is read as numbers, or as text of which each distinct
value is stored once. If a later cell of a column of numbers is not a number, the column becomes
text.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.systems import usable_cores
from tenfold.inputs.tables.cells import FIRST_ROWS
from tenfold.inputs.tables.texts import LARGEST_WHOLE, PLAIN_NUMBER, CellColumn, PlainNumbers, Texts

if TYPE_CHECKING:
    import pandas as pd

COPIED_AT_ONCE = 1 << 16

BLOCK_BYTES = 16 << 20
"""Size of the text that each thread reads at once, which bounds the memory of the parser. With
blocks of 1 MB, reading takes 1.6 times as long, because each block sets up all columns."""

TRUTHS = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})
"""Cells that pandas reads as booleans."""

FEW = 0.1
"""If the first rows contain at most this many distinct numbers, the column is read as text, because
the numbers may be labels."""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text file are written.

    Attributes:
      separator: The character between cells.
      quote: The character around cells that contain a separator. Empty: quotes are text.
      escape: The character before a quote that is text, if quotes are not doubled.
      blanks: Whether there may be spaces between a separator and a quote.
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

    def count(self, separator: str) -> int:
        """The number of separators in the text. (`bytes.count` would take ten times as long.)"""
        cells = np.frombuffer(self.text, np.uint8)
        starts = range(0, len(cells), COPIED_AT_ONCE)
        return sum(
            int(np.count_nonzero(cells[i : i + COPIED_AT_ONCE] == ord(separator))) for i in starts
        )

    @cached_property
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
            # If there is a single column, a blank line is a missing cell.
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

    def blocks(self) -> list[slice]:
        """Parts of the text, each of which ends at the end of a line.

        A quoted cell may contain a line end. If a block ends there, it ends inside quotes, which
        pandas refuses. An escaped line end would not be noticed, so such a text is a single block.
        """
        size, n_bytes = BLOCK_BYTES, len(self.text)
        starts = () if self.dialect.escape else range(size, n_bytes, size)
        edges = sorted({0, *(self.text.find(b"\n", start) + 1 for start in starts), n_bytes})
        return [slice(*edge) for edge in pairwise(edges)]

    def block(self, part: slice) -> "CsvRows":
        """The rows of one part of the text."""
        return replace(self, text=self.text[part], skip_first=self.skip_first and not part.start)


def _apart(frame: "pd.DataFrame") -> dict[str, "pd.Series[Any]"]:
    """The columns of a data frame, whose memory can be released one by one. (`DataFrame.pop` visits
    all columns to remove one, which takes 30 seconds for 2,000 columns.)"""
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
    ways = {name: _way(first[name].tolist()) for name in body.names}
    try:
        parts = _read_parts(body, ways)
        # These are columns with a cell that is not a number, with integers that are too large, or
        # with booleans.
        others = [name for name, found in parts.items() if None in found]
        if others:
            at = [body.names.index(name) for name in others]
            parts |= _read_parts(body, dict.fromkeys(others, _Way.CODES), usecols=at)
    except (pd.errors.ParserError, ValueError):
        return None
    columns: dict[str, CellColumn] = {}
    n_inside = sum(cell.count(separator) for cell in header) if body.skip_first else 0
    for position, name in enumerate(body.names):
        found = parts.pop(name)
        if isinstance(found[0], _Numbers):
            values = np.concatenate([part.values for part in found])
            is_whole = all(part.is_whole for part in found)
            read = partial(body.column, position)
            columns[name] = PlainNumbers(values, Texts.of(first[name]), read, is_whole)
        else:
            raw = _joined(found)
            n_inside += _count_inside(raw, separator) if body.has_quotes else 0
            columns[name] = Texts.coded(raw.codes, raw.different, in_order=True)
    n_rows = len(next(iter(columns.values())))
    n_needed = (n_rows + body.skip_first) * (body.dialect.width - 1)
    return columns if body.count(separator) == n_needed + n_inside else None


class _Numbers(NamedTuple):
    """The numbers in a part of a column, float64 (n,), and whether all are written as integers."""

    values: NDArray[np.float64]
    is_whole: bool


class _Coded(NamedTuple):
    """A part of a column as text: for each row the position of its text (n,), and the texts."""

    codes: NDArray[np.int32]
    different: list[str]


class _Way(Enum):
    """How a column is read: as numbers, as text that may look like numbers, or as words.

    pandas recognises words as text by itself. If it is told the type, it takes twice as long.
    """

    NUMBERS = auto()
    CODES = auto()
    WORDS = auto()


def _way(first: Sequence[str]) -> _Way:
    """How to read a column, given its first cells."""
    different = set(first)
    if all(not text or PLAIN_NUMBER.fullmatch(text.strip()) for text in different):
        return _Way.CODES if len(different) <= FEW * len(first) else _Way.NUMBERS
    return _Way.CODES if different <= TRUTHS else _Way.WORDS


def _read_parts(body: CsvRows, ways: Mapping[str, _Way], **options: Any) -> dict[str, list[Any]]:
    """The parts of each column, `_Numbers` or `_Coded`. None: the column must be read as codes.

    If a block ends inside a quoted cell, pandas refuses it, and the whole text is read at once.
    """
    import pandas as pd

    blocks = body.blocks()
    with ThreadPoolExecutor(usable_cores()) as threads:
        try:
            found = threads.map(lambda part: _read_block(body.block(part), ways, options), blocks)
            read = list(found)
        except (pd.errors.ParserError, ValueError):
            if len(blocks) == 1:
                raise
            threads.shutdown(cancel_futures=True)
            read = [_read_block(body, ways, options)]
    return {name: [parts[name] for parts in read] for name in read[0]}


def _read_block(
    block: CsvRows, ways: Mapping[str, _Way], options: Mapping[str, Any]
) -> dict[str, _Numbers | _Coded | None]:
    frame = block.read(
        dtype={name: object for name, way in ways.items() if way is _Way.CODES},
        na_values={name: [""] for name, way in ways.items() if way is _Way.NUMBERS},
        keep_default_na=False,
        low_memory=False,
        **options,
    )
    parts: dict[str, _Numbers | _Coded | None] = {}
    for name, cells in _apart(frame).items():
        if ways[name] is _Way.NUMBERS:
            parts[name] = _numbers(cells)
        else:  # if all words of a block are numbers or booleans, pandas does not keep their text
            parts[name] = _coded(cells) if cells.dtype.kind == "O" else None
    return parts


def _numbers(cells: "pd.Series[Any]") -> _Numbers | None:
    """The numbers of a column. None if it has other cells, or numbers that float64 rounds."""
    if cells.dtype.kind not in "if":
        return None
    values = cells.to_numpy(np.float64)
    is_large = np.abs(values) >= LARGEST_WHOLE
    return None if is_large.any() else _Numbers(values, cells.dtype.kind == "i")


def _coded(cells: "pd.Series[Any]") -> _Coded:
    import pandas as pd

    codes, different = pd.factorize(cells)
    return _Coded(codes.astype(np.int32), different.tolist())


def _joined(parts: Sequence[_Coded]) -> _Coded:
    """Concatenate the parts; the texts are in the order in which they first occur."""
    if len(parts) == 1:
        return parts[0]
    position: dict[str, int] = {}
    codes = []
    for part in parts:
        found = (position.setdefault(text, len(position)) for text in part.different)
        known = np.fromiter(found, np.int32, len(part.different))
        codes.append(known[part.codes])
    return _Coded(np.concatenate(codes), list(position))


def _count_inside(cells: _Coded, separator: str) -> int:
    """Number of separators inside cells."""
    counts = np.bincount(cells.codes, minlength=len(cells.different)).tolist()
    return sum(text.count(separator) * n for text, n in zip(cells.different, counts, strict=True))
