"""CSV, TSV and Parquet files and pandas frames as cells of text; what the file shows is found out.

Separator, quoting, encoding and header are looked for over the whole file, said in `Cells.notes`,
and can be overruled. Nothing is dropped here: a row of another length is refused with its line.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core import files
from tenfold.core.errors import DataError, FormatError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SUFFIXES = {".csv", ".tsv", ".txt", ".data", ".parquet"}
MAX_BYTES = 2 << 30
MAX_COLUMNS = 10_000
SNIFFED_ROWS = 20_000
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "<na>", "nat"})
"""Cells that say nothing, compared in lower case."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A table as text.

    Attributes:
      name: What it is called.
      frame: A column of `str` per header, without blanks around; "" where a cell is missing.
      header: Whether the names come from the file.
      notes: What was found out about the file, for a reader.
    """

    name: str
    frame: "pd.DataFrame"
    header: bool
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class _Dialect:
    separator: str
    quoting: Any
    width: int


def read_table(
    path: Path | str,
    *,
    header: bool | None = None,
    separator: str | None = None,
    known: Sequence[str] = (),
) -> Cells:
    """Read a CSV, TSV or Parquet file.

    Args:
      path: The file; Parquet is known by its content.
      header: Whether the first row holds names; found out when None.
      separator: Character between cells; found out when None.
      known: Names of columns that are looked for: a first row with one of them is a header.

    Raises:
      DataError: No rows, rows of another length (with their lines), names that repeat.
      FormatError: Not text, an unclosed quote, or damaged Parquet.
      FileError: The file cannot be read.
    """
    path = Path(path)
    with files.os_errors("read", path):
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise DataError(
                "E219", "File too large", where=path, expected=f"<= {MAX_BYTES}", n_bytes=n_bytes
            )
        content = path.read_bytes()
    if content[:4] == b"PAR1":
        return _read_parquet(path)
    text, encoding = _decode(content, path)
    text = text.strip("\r\n")
    dialect = _sniff(text, separator, path)
    rows = _check_widths(text, dialect, path)
    named = _has_header(rows, known) if header is None else header
    names = _names(rows[0] if named else None, dialect.width, path)
    frame = _parse(text, dialect, names, skip_first=named)
    if not len(frame):
        raise DataError("E436", "No rows", where=path, expected="at least one row of data")
    notes = [f"cells separated by {SEPARATORS.get(dialect.separator, repr(dialect.separator))}"]
    notes.append("names in the first row" if named else "no header: columns are named by position")
    if encoding != "utf-8":
        notes.append(f"text read as {encoding}")
    if dialect.quoting == csv.QUOTE_NONE:
        notes.append("quotes are part of the text")
    return Cells(path.name, _clean(frame), named, tuple(notes))


def from_frame(frame: "pd.DataFrame", name: str = "table") -> Cells:
    """The cells of a pandas frame; numbers and dates become their plain text.

    Raises:
      DataError: No rows, names that repeat, or a column of nested values.
    """
    import pandas as pd

    if not len(frame) or not frame.shape[1]:
        raise DataError("E436", "No rows", where=name, expected="at least one row and column")
    names = _names([str(column) for column in frame.columns], frame.shape[1], name)
    columns = [_as_text(frame.iloc[:, i], names[i], name) for i in range(len(names))]
    return Cells(name, _clean(pd.DataFrame(dict(zip(names, columns, strict=True)))), True)


def is_missing(cells: "pd.Series[Any]") -> "pd.Series[bool]":
    """Whether each cell says nothing."""
    return cells.str.lower().isin(MISSING)


def _read_parquet(path: Path) -> Cells:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(
            "E220", "Parquet needs pyarrow", where=path, fix="pip install 'tenfold[parquet]'"
        ) from error
    except Exception as error:  # pyarrow's errors share no base but this
        reason = str(error).splitlines()[0]
        raise FormatError("E221", "Damaged Parquet", where=path, reason=reason) from error
    cells = from_frame(frame, path.name)
    return Cells(cells.name, cells.frame, True, ("Parquet",))


def _as_text(column: "pd.Series[Any]", name: str, where: str) -> "pd.Series[str]":
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_float_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        text = pd.Series([_number_text(value) for value in values.tolist()], dtype=str)
    elif pd.api.types.is_datetime64_any_dtype(column):
        text = column.map(lambda value: "" if pd.isna(value) else value.isoformat())
    else:
        first = next((value for value in column if value is not None), None)
        if isinstance(first, list | dict | tuple | set) or type(first).__name__ == "ndarray":
            raise DataError(
                "E223",
                "A column of nested values",
                where=where,
                expected="one value a cell",
                column=name,
            )
        text = column.astype(object).where(column.notna(), "").map(str)
    return text.fillna("").astype(str).reset_index(drop=True)


def _number_text(value: float) -> str:
    if math.isnan(value):
        return ""
    whole = value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else repr(value)


def _decode(content: bytes, path: Path) -> tuple[str, str]:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            encodings = [encoding]
            break
    else:
        encodings = ["utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, "utf-8" if encoding == "utf-8-sig" else encoding
    raise FormatError(
        "E214", "Not a text file", where=path, expected="CSV in UTF-8, UTF-16 or Windows-1252"
    )


def _rows(text: str, separator: str, quoting: Any, *, strict: bool = False) -> Iterable[list[str]]:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=separator, quoting=quoting, strict=strict)


def _well_quoted(text: str, separator: str) -> bool:
    """Whether every quote that opens a cell is closed at the end of a cell."""
    try:
        for _ in islice(_rows(text, separator, csv.QUOTE_MINIMAL, strict=True), SNIFFED_ROWS):
            pass
    except csv.Error:
        return False
    return True


def _sniff(text: str, separator: str | None, path: Path) -> _Dialect:
    """The separator and quoting under which the most rows have the same number of cells."""
    if not text.strip():
        raise DataError("E215", "Empty file", where=path, expected="rows of cells")
    best: tuple[float, int, int] | None = None
    found = _Dialect(separator or ",", csv.QUOTE_MINIMAL, 1)
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        if quoting == csv.QUOTE_NONE and _well_quoted(text, found.separator):
            break
        for candidate in [separator] if separator else SEPARATORS:
            try:
                rows = [row for row in islice(_rows(text, candidate, quoting), SNIFFED_ROWS) if row]
            except csv.Error:  # a field without end: a quote that is never closed
                continue
            width, n_alike = Counter(map(len, rows)).most_common(1)[0]
            if width == 1 and not separator:
                continue
            # A quote that is text swallows lines.
            broken = any("\n" in cell for row in rows for cell in row)
            score = (n_alike / len(rows) if n_alike < len(rows) else 1.0, -int(broken), width)
            if best is None or score > best:
                best, found = score, _Dialect(candidate, quoting, width)
    return found


def _check_widths(text: str, dialect: _Dialect, path: Path) -> list[list[str]]:
    """The first rows, after every row of the file has been counted."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect.separator, quoting=dialect.quoting
    )
    first: list[list[str]] = []
    ragged: list[int] = []
    n_ragged = 0
    try:
        for row in reader:
            if row and len(row) != dialect.width:
                n_ragged += 1
                ragged = [*ragged, reader.line_num][:5]
            elif row and len(first) < SNIFFED_ROWS:
                first.append(row)
    except csv.Error as error:
        line = reader.line_num
        raise FormatError(
            "E222", "A quote that is never closed", where=path, line=line, reason=str(error)
        ) from error
    if n_ragged:
        raise DataError(
            "E216",
            "Rows of another length",
            where=path,
            expected=f"{dialect.width} cells in each row",
            fix="Correct these lines, or name another --separator",
            lines=ragged,
            n_rows=n_ragged,
        )
    if dialect.width > MAX_COLUMNS:
        raise DataError(
            "E217", "Too many columns", where=path, expected=f"<= {MAX_COLUMNS}", n=dialect.width
        )
    return first


def _has_header(rows: Sequence[Sequence[str]], known: Sequence[str]) -> bool:
    """Whether the first row names the columns.

    It does when it holds a known name. Else when its cells are all there and different, and either
    count the columns, or stand as words above numbers, or are words that never occur again below.
    Where the known names are positions, it does only when it counts or holds all of them.
    """
    first = [cell.strip() for cell in rows[0]]
    positions = [str(i) for i in range(len(first))]
    # Two cells count by chance: 0,1 is a row of many tables.
    counts = len(first) > 2 and first in (positions, [str(i + 1) for i in range(len(first))])
    if known and set(known) <= set(positions):
        return counts or (len(known) > 2 and set(known) <= set(first))
    if set(known) & set(first):
        return True
    if len(rows) < 2 or "" in first[1:] or len(set(first)) < len(first):
        return False
    if counts:
        return True
    if any(_is_number(cell) for cell in first):
        return False
    below = [{cell.strip() for cell in column} for column in zip(*rows[1:], strict=True)]
    if any(_mostly_numbers(column) for column in below):
        return True
    short = all(len(cell) <= 64 for cell in first)
    return short and not any(cell in column for cell, column in zip(first, below, strict=True))


def _mostly_numbers(cells: set[str]) -> bool:
    present = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(present) and sum(map(_is_number, present)) >= 0.9 * len(present)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell.replace(",", "."))) and "_" not in cell
    except ValueError:
        return False


def _names(header: Sequence[str] | None, width: int, where: object) -> list[str]:
    if header is None:
        return [str(i) for i in range(width)]
    names = [name.strip() or f"column {i + 1}" for i, name in enumerate(header)]
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(
            "E218",
            "Columns of the same name",
            where=where,
            expected="a name of its own for each column",
            fix="Rename them, or say --no-header if the first row is data",
            names=repeated[:5],
        )
    return names


def _parse(text: str, dialect: _Dialect, names: list[str], *, skip_first: bool) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_csv(
        io.StringIO(text),
        sep=dialect.separator,
        quoting=dialect.quoting,
        header=0 if skip_first else None,
        names=names,
        dtype=str,
        na_filter=False,
        index_col=False,
        skip_blank_lines=dialect.width > 1,  # in a single column a blank line is a missing cell
    )


def _clean(frame: "pd.DataFrame") -> "pd.DataFrame":
    for name in frame.columns:
        frame[name] = frame[name].str.strip()
    return frame
