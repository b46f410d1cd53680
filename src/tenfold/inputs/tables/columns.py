"""Columns: what kind each one is, and how its cells become arrays. The reader of table models.

Cells are text here. `infer_kind` looks at training data; everything after goes by the kinds that
the contract has stored, so a cell is read alike when a model is made and when it is asked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import (
    DATE_FORMATS,
    Column,
    ColumnKind,
    DateFormat,
    DecimalMark,
    TableInput,
)
from tenfold.core.errors import DataError, did_you_mean
from tenfold.core.text import shorten
from tenfold.inputs.tables.read import Cells, is_missing

if TYPE_CHECKING:
    import pandas as pd

MOSTLY = 0.95
"""Share of the cells that must be numbers, or dates, for the column to be one of them."""

MIN_IDENTIFIER_ROWS = 20
MAX_LEVELS = 1000
MAX_WORDS = 2000
"""Words of a text beyond this are not read: it bounds the memory of one row."""

LARGEST = 1e37
"""Numbers are cut here: float32 ends at 3.4e38, and they are subtracted from each other."""

YES_NO = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"0", "1"}, {"on", "off"}]
IDENTIFIER_NAME = re.compile(
    r"(^|[ _.-])(id|uuid|guid|index|key|nr|no|number|code)$|^unnamed", re.I
)
THOUSANDS = r"^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$"
DECIMAL_COMMA = r"^[-+]?(\d+|[1-9]\d{0,2}(\.\d{3})+),\d+$"
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
DATE_LIKE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?$"
UNIT = r"^([-+]?)[$€£]\s*|\s*%$"

Strings = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of columns, read.

    Attributes:
      columns: By name: float64 (NaN where missing) for numbers, datetime64[s] (NaT) for dates,
        object arrays of `str` ("" where missing) for all else; each (n,).
    """

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, rows: Any) -> "Table":
        return Table({name: values[rows] for name, values in self.columns.items()})

    @cached_property
    def duplicate_of(self) -> NDArray[np.int64]:
        """For each row the position of the first row that is equal in all columns."""
        import pandas as pd

        groups = pd.DataFrame(dict(self.columns)).groupby(
            list(self.columns), dropna=False, sort=False
        )
        first: NDArray[np.int64] = np.empty(len(self), np.int64)
        for rows in groups.indices.values():
            first[rows] = min(rows)
        return first


def concatenate(parts: Sequence[Any]) -> Any:
    """Several arrays, or several tables of the same columns, one below the other."""
    if not isinstance(parts[0], Table):
        return np.concatenate(parts)
    names = parts[0].columns
    return Table({name: np.concatenate([part.columns[name] for part in parts]) for name in names})


@dataclass(frozen=True)
class Profile:
    """What a column is taken for, and why.

    Attributes:
      kind: Its kind.
      n_missing: Cells that say nothing.
      n_distinct: Different values among the others.
      n_unreadable: Cells that are not of the kind; they count as missing.
      example: The first value.
    """

    name: str
    kind: ColumnKind
    n_missing: int
    n_distinct: int
    n_unreadable: int
    example: str


def profile(name: str, cells: "pd.Series[str]", kind: ColumnKind | None = None) -> Profile:
    """Say what a column is.

    Args:
      name: Its header.
      cells: Its cells, text.
      kind: Overrules what the cells suggest.
    """
    missing = is_missing(cells)
    present = cells[~missing]
    kind = kind or infer_kind(name, cells)
    unreadable = 0
    if kind in ("number", "date"):
        read = parse_numbers(present) if kind == "number" else parse_dates(present)
        unreadable = int(np.isnat(read).sum() if kind == "date" else np.isnan(read).sum())
    return Profile(
        name=name,
        kind=kind,
        n_missing=int(missing.sum()),
        n_distinct=int(present.nunique()),
        n_unreadable=unreadable,
        example=str(present.iloc[0])[:40] if len(present) else "",
    )


def infer_kind(name: str, cells: "pd.Series[str]") -> ColumnKind:
    """The kind that a column's cells suggest; docs/guide/tables.md has the rules in words."""
    missing = is_missing(cells)
    present = cells[~missing]
    n_distinct = present.nunique()
    if n_distinct == 0 or (n_distinct == 1 and not missing.any()):
        return "constant"
    if any(set(present.str.lower().unique()) <= pair for pair in YES_NO):
        return "yes/no"
    numbers = parse_numbers(present)
    if np.isfinite(numbers).mean() >= MOSTLY:
        return "identifier" if _is_row_number(name, numbers, n_distinct) else "number"
    if present.str.match(DATE_LIKE).mean() >= MOSTLY and _share_of_dates(present) >= MOSTLY:
        return "date"
    words = present.str.count(r"\s+").mean() + 1
    different = n_distinct / len(present)
    if words >= 3 and different > 0.2:
        return "text"
    if different >= MOSTLY and len(present) >= MIN_IDENTIFIER_ROWS:
        return "identifier"
    return "category"


def _is_row_number(name: str, numbers: NDArray[np.float64], n_distinct: int) -> bool:
    finite = numbers[np.isfinite(numbers)]
    whole = bool((finite % 1 == 0).all())
    if not whole or len(finite) < MIN_IDENTIFIER_ROWS or n_distinct < MOSTLY * len(finite):
        return False
    counts_up = bool((np.diff(finite) == 1).all())
    return counts_up or IDENTIFIER_NAME.search(name) is not None


def _share_of_dates(cells: "pd.Series[str]") -> float:
    return float((~np.isnat(parse_dates(cells))).mean())


def decimal_mark(cells: "pd.Series[str]") -> DecimalMark:
    """The decimal mark of a column of numbers: a comma where more cells have it so than as 1,234.

    The cells of a column decide together, once: see `Column.decimal`.
    """
    text = _bare(cells)
    thousands = text.str.match(THOUSANDS)
    decimal = text.str.match(DECIMAL_COMMA)
    return "," if decimal.sum() > thousands.sum() else "."


def parse_numbers(
    cells: "pd.Series[str]", decimal: DecimalMark | None = None
) -> NDArray[np.float64]:
    """Numbers of cells (n,); NaN where a cell is not a finite one.

    Thousands (1,234.5, or 1.234,5 with a decimal comma), a currency sign before and a percent sign
    behind are understood.

    Args:
      cells: Text.
      decimal: The decimal mark; None: that which the cells show.
    """
    import pandas as pd

    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, copy=True)
    rest = np.isnan(values) & ~is_missing(cells).to_numpy()
    if rest.any():
        text = _bare(cells[rest])
        if (decimal or decimal_mark(cells)) == ",":
            with_comma = text.str.match(DECIMAL_COMMA)
            point = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            text = text.where(~with_comma, point)
        else:
            thousands = text.str.match(THOUSANDS)
            text = text.where(~thousands, text.str.replace(",", "", regex=False))
        values[rest] = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _bare(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Without currency and percent signs."""
    return cells.str.replace(UNIT, r"\1", regex=True)


def date_format(cells: "pd.Series[str]") -> DateFormat:
    """The format that fits most of those cells that are not ISO 8601, of equals the first."""
    rest = cells[np.isnat(_read_dates(cells, "ISO8601"))]
    fits = [int((~np.isnat(_read_dates(rest, form))).sum()) for form in DATE_FORMATS]
    return DATE_FORMATS[int(np.argmax(fits))]


def parse_dates(cells: "pd.Series[str]", form: DateFormat | None = None) -> NDArray[np.datetime64]:
    """Dates of cells, datetime64[s] (n,), in UTC; NaT where a cell is none.

    Args:
      cells: Text.
      form: How they are written where not in ISO 8601; None: as most cells show.
    """
    dates = _read_dates(cells, "ISO8601")
    if np.isnat(dates).any():
        others = _read_dates(cells, form or date_format(cells))
        dates = np.where(np.isnat(dates), others, dates)
    return dates


def _read_dates(cells: "pd.Series[str]", form: DateFormat) -> NDArray[np.datetime64]:
    import pandas as pd

    read = pd.to_datetime(cells, format=form, errors="coerce", utc=True)
    dates: NDArray[np.datetime64] = read.dt.tz_localize(None).to_numpy("datetime64[s]")
    return dates


def parse(column: Column, cells: "pd.Series[str]") -> NDArray[Any]:
    """A column's cells as the array of its kind (see `Table`)."""
    if column.kind == "number":
        return parse_numbers(cells, column.decimal)
    if column.kind == "date":
        return parse_dates(cells, column.date_format)
    if column.kind == "text":
        return cells.to_numpy(object)
    text = parse_names(cells)
    if column.kind == "yes/no":
        text = text.str.lower()
    return text.to_numpy(object)


def parse_names(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Categories and labels: a missing cell is "", and 1.0 is 1, as whole numbers may be read."""
    text = cells.str.replace(r"^([-+]?\d+)\.0+$", r"\1", regex=True)
    return text.where(~is_missing(cells), "")


def describe(name: str, kind: ColumnKind, cells: "pd.Series[str]") -> Column:
    """The column of training data, with how its cells are written."""
    column = Column(name=name, kind=kind)
    if kind == "number":
        return column.model_copy(update={"decimal": decimal_mark(cells)})
    if kind == "date":
        return column.model_copy(update={"date_format": date_format(cells)})
    return column


def as_cells(table: Table) -> dict[str, list[str]]:
    """The columns as text that is read as the same arrays again."""
    cells = {}
    for name, values in table.columns.items():
        if values.dtype == object:
            cells[name] = values.tolist()
        elif values.dtype.kind == "M":
            cells[name] = ["" if np.isnat(value) else str(value) for value in values]
        else:
            cells[name] = ["" if np.isnan(value) else repr(float(value)) for value in values]
    return cells


def levels(values: Strings) -> tuple[str, ...]:
    """Values of a category, most frequent first, then by name; at most 1,000."""
    names, counts = np.unique(values.astype(str), return_counts=True)
    order = np.lexsort((names, -counts))[:MAX_LEVELS]
    return tuple(names[order].tolist())


def read_rows(cells: Cells, contract: TableInput) -> tuple[Table, list[str]]:
    """The rows of a model's input, read as its contract says, and what a reader should know.

    Columns are found by name, in any order. Returned beside the table: one line each for columns
    that are not used, cells that cannot be read and categories that training never saw.

    Raises:
      DataError: Columns that are missing, all of them in one message.
    """
    frame, notes = cells.frame, []
    wanted = [column.name for column in contract.columns]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise DataError(
            "E213",
            "Missing columns",
            where=cells.name,
            expected=", ".join(wanted),
            fix=did_you_mean(missing[0], [str(name) for name in frame.columns]),
            columns=missing,
        )
    extra = [str(name) for name in frame.columns if name not in {*wanted, contract.target}]
    if extra:
        notes.append(f"columns not used by the model: {shorten(extra, 5)} ({cells.name})")
    columns = {}
    for column in contract.columns:
        values = parse(column, frame[column.name])
        columns[column.name] = values
        notes += _remarks(column, frame[column.name], values, cells.name)
    return Table(columns), notes


def _remarks(
    column: Column, cells: "pd.Series[str]", values: NDArray[Any], where: str
) -> list[str]:
    if column.kind in ("number", "date"):
        gone = np.isnan(values) if column.kind == "number" else np.isnat(values)
        wrong = np.flatnonzero(gone & ~is_missing(cells).to_numpy())
        what = f"not a {column.kind}, read as missing"
    elif column.kind in ("category", "yes/no") and len(column.levels) < MAX_LEVELS:
        wrong = np.flatnonzero(~np.isin(values.astype(str), [*column.levels, ""]))
        what = "never seen in training"
    else:
        return []
    if not wrong.size:
        return []
    examples = shorten(sorted({str(text)[:80] for text in cells.to_numpy()[wrong]}), 5)
    return [
        f"{what}: {column.name}={examples} in {len(wrong)} rows, first row {wrong[0]} ({where})"
    ]


def graph_inputs(table: Table, contract: TableInput) -> dict[str, NDArray[Any]]:
    """What the graph is given: float32 (n, 1), strings (n, 1), or words (n, most words of a row).

    Rows of fewer words end with "", which is no word.
    """
    inputs: dict[str, NDArray[Any]] = {}
    for column in contract.columns:
        values, names = table.columns[column.name], list(column.inputs)
        if column.kind == "date":
            parts = date_parts(values).values()
            inputs |= {
                name: numbers.astype(np.float32)[:, None]
                for name, numbers in zip(names, parts, strict=True)
            }
        elif column.kind == "text":
            inputs[names[0]] = word_matrix([split_words(text) for text in values])
        elif column.kind == "number":
            bounded = np.clip(values, -LARGEST, LARGEST)
            inputs[names[0]] = bounded.astype(np.float32)[:, None]
        else:
            inputs[names[0]] = values[:, None]
    return inputs


def split_words(text: str) -> list[str]:
    """Words of a text in lower case: letters in a row, single signs, and numbers by their length.

    Example:
      >>> split_words("Call 08001 NOW!")
      ['call', '#5', 'now', '!']
    """
    words = WORD.findall(text.lower())[:MAX_WORDS]
    return [f"#{len(word)}" if word.isdigit() else word for word in words]


def word_matrix(texts: Sequence[Sequence[str]]) -> Strings:
    """Words as a rectangle (n, most words of a text), filled up with ""."""
    width = max(1, max(map(len, texts), default=1))
    matrix: Strings = np.full((len(texts), width), "", object)
    for row, words in zip(matrix, texts, strict=True):
        row[: len(words)] = words
    return matrix


def date_parts(dates: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """Numbers of each date (n,), in the order of `contract.DATE_PARTS`; NaN where there is none.

    Weekday counts from Monday, 0. The year's circle starts on the first of January.
    """
    gone = np.isnat(dates)
    filled = np.where(gone, np.datetime64(0, "s"), dates)
    days, months = filled.astype("datetime64[D]"), filled.astype("datetime64[M]")
    years = filled.astype("datetime64[Y]")
    turn = (days - years.astype("datetime64[D]")).astype(float) / 365.25 * 2 * np.pi
    parts = {
        "year": years.astype(int) + 1970,
        "month": months.astype(int) % 12 + 1,
        "day": (days - months.astype("datetime64[D]")).astype(int) + 1,
        "weekday": (days.astype(int) + 3) % 7,
        "hour": (filled - days).astype(float) / 3600,
        "year_sin": np.sin(turn),
        "year_cos": np.cos(turn),
    }
    return {name: np.where(gone, np.nan, values) for name, values in parts.items()}
