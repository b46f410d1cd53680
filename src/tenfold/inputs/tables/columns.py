"""The kinds of columns, and how their cells of text become arrays.

`infer_kind` looks at training data. Everything after that uses the kinds that are stored in the
contract, so that a cell is read in the same way in training and in prediction.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Column, ColumnKind, DateFormat, DecimalMark, TableInput
from tenfold.core.errors import DataError, did_you_mean
from tenfold.core.settings import split_kind
from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import FIRST_ROWS, Cells, float_text
from tenfold.inputs.tables.dates import (
    DATE_LIKE,
    EXCEL,
    TIME_NAME,
    are_numeric_dates,
    choose_date_format,
    parse_dates,
)
from tenfold.inputs.tables.mistaken import name_remarks
from tenfold.inputs.tables.numbers import (
    NumberFormat,
    common_mark,
    number_format,
    numbers_of,
    parse_numbers,
    sentinel_remark,
    unit_remark,
)
from tenfold.inputs.tables.texts import (
    CellColumn,
    PlainNumbers,
    Strings,
    Texts,
    kept,
    missing_texts,
    says_nothing,
)

MOSTLY = 0.95
"""A column is of numbers or dates if this share of its cells is."""

MAJORITY, MANY_NUMBERS, FEW_WORDS = 0.5, 20, 10
"""A column with a smaller share of numbers is still a column of numbers if they are the majority,
there are at least this many distinct numbers, and the other cells are at most this many distinct
words, such as "n.d."."""

MIN_IDENTIFIER_ROWS = 20
DENSE, EXPECTED_PAIRS = 0.5, 12.0
"""Integers are row numbers if they are at least this share of all integers in their range. They are
also row numbers if they are all distinct, although random numbers would have contained this many
equal pairs: the probability that there is none would then be six in a million."""

FIRST_NUMBERS, HIGH_NUMBER = 10, 10_000
"""Row numbers begin at 0 or 1, so that some are smaller than the first of these numbers. Numbers of
orders begin above the second one. Sizes of flats from 20 to 319 are neither."""

FAR_YEAR = 2030
"""If a two-digit year is at least 30, a note says that it is read as a year of this century."""
COUNTED_ROWS = 100_000
"""With more rows than this, distinct numbers are not counted, because that would take a tenth of
the reading time."""

MAX_LEVELS = 1000
MAX_WORDS = 2000
"""Maximum number of words of a text that are used, which limits the memory of a row."""

LARGEST = 1e37
"""Numbers are clipped to this size, because numbers are subtracted from each other, and the largest
float32 is 3.4e38."""

MAX_SPELLINGS = 48
"""Spellings of yes and no in upper and lower case: 48 for true and false."""

YES_NO = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"0", "1"}, {"on", "off"}]
IDENTIFIER_NAME = re.compile(
    r"(^|[ _.-])(id|uuid|guid|index|key|nr|no|number|code|row|rownum|rowid)$"
    r"|^unnamed|^column 1$|(?-i:[a-z]I[dD])$",
    re.I,
)
SIGN = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Characters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese,
Chinese."""

ZIP_NAME = re.compile(
    r"(?:^|[^a-z])(?:zip|zip ?code|post ?code|postal ?code|plz)(?:$|[^a-z])", re.I
)
WHOLE_NUMBER = re.compile(r"^([-+]?\d+)\.0+$")
ADDED_ZERO = re.compile(r"^(-?[1-9]\d{0,2}\.\d{3})0$")
BLANKS, SIGNS_ALONE = re.compile(r"\s+"), re.compile(SIGN)
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
WORD_OR_SIGN = re.compile(rf"{SIGN}|(?:(?!{SIGN})[^\W\d_])+|\d+|[^\w\s]")

PAIR = re.compile(r"\(\d+,\s?\d{1,2}\)")
"""Pairs of numbers in brackets, such as (6,8)."""

LETTERS, CODE = re.compile(r"[^\W\d_]+"), re.compile(r"\d{3,}")

DIFFERENT_TEXTS, MIN_SHORT_TEXTS = 0.2, 20
"""Minimum share of distinct cells in a column of text, and the minimum share if texts have two
words."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table that has been read.

    Attributes:
      columns: By name: float64 (NaN where missing) for numbers, datetime64[s] (NaT) for dates,
        object arrays of `str` ("" where missing) for the other kinds; each (n,).
    """

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, rows: Any) -> "Table":
        return Table({name: values[rows] for name, values in self.columns.items()})

    @cached_property
    def duplicate_of(self) -> NDArray[np.int64]:
        """For each row, the position of the first row that is equal in all columns."""
        import pandas as pd

        codes = [pd.factorize(column, use_na_sentinel=False)[0] for column in self.columns.values()]
        # Equal rows have equal sums of their codes times odd numbers, modulo 2^64. The
        # codes distinguish other rows that happen to have equal sums.
        factors = np.random.default_rng(0).integers(2**64, size=len(codes), dtype=np.uint64) | 1
        sums = np.zeros(len(self), np.uint64)
        for column, factor in zip(codes, factors, strict=True):
            sums += column.astype(np.uint64) * factor
        _, first, group = np.unique(sums, return_index=True, return_inverse=True)
        leader: NDArray[np.int64] = first[group]
        again = np.flatnonzero(leader != np.arange(len(self)))
        if all((column[again] == column[leader[again]]).all() for column in codes):
            return leader
        _, first, group = np.unique(
            np.stack(codes, axis=1), axis=0, return_index=True, return_inverse=True
        )
        return first[group.ravel()]


def concatenate(parts: Sequence[Any]) -> Any:
    """Concatenate several arrays, or several tables of the same columns."""
    if not isinstance(parts[0], Table):
        return np.concatenate(parts)
    names = parts[0].columns
    return Table({name: np.concatenate([part.columns[name] for part in parts]) for name in names})


@dataclass(frozen=True)
class Profile:
    """The kind of a column, and the reasons.

    Attributes:
      n_missing: Number of missing cells.
      n_distinct: Number of distinct values among the others. None for numbers of many rows, which
        are only counted on demand.
      n_unreadable: Number of cells that are not of the kind. They count as missing.
      example: The first value.
      unreadable: Some of the cells that are not of the kind.
    """

    name: str
    kind: ColumnKind
    n_missing: int
    n_distinct: int | None
    n_unreadable: int
    example: str
    unreadable: str = ""


def profile(name: str, cells: CellColumn, kind: str | None = None) -> Profile:
    """Describe a column. A `kind` overrules what its cells suggest."""
    kind = split_kind(kind)[0] if kind else infer_kind(name, cells)
    if isinstance(cells, PlainNumbers) and kind != "date":
        n_missing = len(cells) - len(cells.present)
        is_counted = kind != "number" or len(cells) <= COUNTED_ROWS
        n_distinct = cells.n_distinct if is_counted else None
        return Profile(name, kind, n_missing, n_distinct, 0, cells.example[:40])
    present = cells.texts.present()
    is_unreadable = np.zeros(len(present.different), bool)
    if kind == "number":
        is_unreadable = np.isnan(numbers_of(present, "."))
    elif kind == "date":
        is_unreadable[present.codes] = np.isnat(parse_dates(present))
    return Profile(
        name=name,
        kind=kind,
        n_missing=len(cells) - len(present),
        n_distinct=len(present.different),
        n_unreadable=int(present.counts[is_unreadable].sum()),
        example=present[0][:40] if len(present) else "",
        unreadable=shorten([text[:20] for text in present.different[is_unreadable]], 3),
    )


def infer_kind(name: str, cells: CellColumn) -> ColumnKind:
    """The kind that the cells of a column suggest; docs/guide/tables.md describes the rules."""
    if isinstance(cells, PlainNumbers) and _are_various(cells.present):
        if are_numeric_dates(name, cells):
            return "date"
        if _is_row_number(name, cells.present, lambda: cells.n_distinct):
            return "identifier"
        if not _may_be_codes(name, cells):
            return "number"
    return _kind_of_texts(cells.texts, name)


def infer_time_kind(name: str, cells: CellColumn) -> ColumnKind:
    """The kind of a column that gives the order of the rows: a date or a number."""
    if np.isnan(parse_numbers(cells)).any():
        return "date"
    is_date = are_numeric_dates("time", cells) or are_numeric_dates(name, cells)
    return "date" if is_date else "number"


def _are_various(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are more than a single value or yes and no, 0 and 1."""
    if not len(numbers):
        return False
    low, high = numbers.min(), numbers.max()
    return bool(low < high and not (low >= 0 and high <= 1 and np.isin(numbers, (0, 1)).all()))


@kept
def _kind_of_texts(texts: Texts, name: str) -> ColumnKind:
    present = texts.present()
    n_distinct = len(present.different)
    if n_distinct == 0 or (n_distinct == 1 and len(present) == len(texts)):
        return "constant"
    if n_distinct <= MAX_SPELLINGS:
        spellings = {text.lower() for text in present.different}
        if any(spellings <= pair for pair in YES_NO):
            return "yes/no"
    numbers = numbers_of(present, ".")  # which cells are numbers does not depend on the mark
    if _are_mostly_numbers(present, numbers):
        if are_numeric_dates(name, present):
            return "date"
        by_row = numbers[present.codes]
        if _is_row_number(name, by_row, lambda: n_distinct):
            return "identifier"
        if not _are_codes(name, present):
            return "number"
        is_key = n_distinct >= MOSTLY * len(present) and len(present) >= MIN_IDENTIFIER_ROWS
        return "identifier" if is_key else "category"
    looks_dated = _share(present, present.match(DATE_LIKE)) >= MOSTLY
    if looks_dated and (~np.isnat(parse_dates(present))).mean() >= MOSTLY:
        return "date"
    different = n_distinct / len(present)
    if different > DIFFERENT_TEXTS and _are_texts(present, n_distinct):
        return "text"
    if different >= MOSTLY and len(present) >= MIN_IDENTIFIER_ROWS:
        return "identifier"
    return "category"


def _are_texts(present: Texts, n_distinct: int) -> bool:
    """Whether cells have three words or more on average, or about two that also occur in other
    cells. Two characters of a script without spaces count as about one word."""
    n_words = _mean_count(present, BLANKS) + 1 + _mean_count(present, SIGNS_ALONE) / 2
    if n_words >= 3:
        return True
    if n_distinct < MIN_SHORT_TEXTS or _mean_count(present, LETTERS) < 1.5:
        return False
    vocabulary = {word for text in present.different for word in split_words(text, signs=True)}
    return 2 * len(vocabulary) <= n_distinct


def _mean_count(texts: Texts, pattern: "re.Pattern[str]") -> float:
    """The average number of occurrences of a pattern in a cell."""
    counts = np.fromiter((len(pattern.findall(text)) for text in texts.different), np.int64)
    return float((counts * texts.counts).sum() / len(texts))


def _share(texts: Texts, is_meant: NDArray[np.bool_]) -> float:
    """The share of the rows that have the selected texts."""
    return float(texts.counts[is_meant].sum() / len(texts))


def _are_mostly_numbers(present: Texts, numbers: NDArray[np.float64]) -> bool:
    """Whether nearly all cells are numbers, or most are distinct ones and the others few words."""
    is_number = np.isfinite(numbers)
    share = _share(present, is_number)
    if share >= MOSTLY:
        return True
    n_numbers = len(np.unique(numbers[is_number]))
    return bool(
        share >= MAJORITY
        and n_numbers > min(MANY_NUMBERS, share * len(present) / 2)
        and np.count_nonzero(~is_number) <= FEW_WORDS
    )


def _may_be_codes(name: str, numbers: PlainNumbers) -> bool:
    """Whether the first rows allow that the numbers are codes, as in `_are_codes`."""
    first = numbers.first.present().different
    if not all(map(CODE.fullmatch, first)):
        return False
    if ZIP_NAME.search(name) or not len(first):
        return True
    lengths = set(map(len, first))
    return len(lengths) == 1 and bool(numbers.present.min() < 10.0 ** (min(lengths) - 1))


def _are_codes(name: str, present: Texts) -> bool:
    """Whether digits are names: post codes, or numbers of equal length with leading zeros, except
    times; or pairs in brackets, which are not negative amounts if all cells of the column are
    such."""
    if all(map(PAIR.fullmatch, present.different)):
        return True
    if not all(map(CODE.fullmatch, present.different)):
        return False
    if ZIP_NAME.search(name):
        return True
    are_padded = any(text.startswith("0") for text in present.different)
    is_one_length = len(set(map(len, present.different))) == 1
    return are_padded and is_one_length and not TIME_NAME.search(name)


def _is_row_number(name: str, numbers: NDArray[np.float64], n_distinct: Callable[[], int]) -> bool:
    """Whether numbers only distinguish rows and have no other meaning.

    This holds for integers that are nearly all distinct, if the column is called like an
    identifier; if they count up or down by one; or, in any order, if they begin like row numbers
    and either half of the numbers up to the largest occur or chance would have repeated some (of n
    draws from r numbers, about n^2 / 2r pairs are equal).
    """
    if not _are_whole(numbers[:FIRST_ROWS]):  # most columns are decided here
        return False
    finite = numbers[np.isfinite(numbers)]
    if len(finite) < MIN_IDENTIFIER_ROWS or not _are_whole(finite):
        return False
    if n_distinct() < MOSTLY * len(finite):
        return False
    steps = np.diff(finite)
    if IDENTIFIER_NAME.search(name) or (np.abs(steps) == 1).all() and len(set(steps)) == 1:
        return True
    values = np.unique(finite)
    first, width = float(values[0]), float(values[-1] - values[0]) + 1
    is_dense = len(values) >= DENSE * width
    no_pair = len(values) == len(finite) and len(values) ** 2 / (2 * width) > EXPECTED_PAIRS
    begins_low = 0 <= first <= FIRST_NUMBERS * width / len(values)
    return (begins_low and (is_dense or no_pair)) or (is_dense and first >= HIGH_NUMBER)


def _are_whole(numbers: NDArray[np.float64]) -> bool:
    """Whether all numbers that are finite are whole."""
    return bool((np.trunc(numbers) == numbers)[np.isfinite(numbers)].all())


def parse(column: Column, cells: CellColumn) -> NDArray[Any]:
    """Convert the cells of a column to the array of its kind (see `Table`)."""
    if column.kind == "number":
        return parse_numbers(cells, column.decimal, grouped=column.grouped)
    if column.kind == "date":
        return parse_dates(cells, column.date_format)
    if column.kind == "text":
        return cells.texts.rows()
    names = parse_names(cells)
    if column.kind == "yes/no":
        names = names.changed(str.lower)
    return names.rows()


def parse_names(cells: CellColumn) -> Texts:
    """Read categories and labels. A missing cell becomes "", and 1.0 becomes 1, because integers
    may have been stored as floats.

    The zero that `number_text` appends to 1.125 is removed again.
    """
    return cells.texts.changed(_as_name)


def _as_name(text: str) -> str:
    if says_nothing(text):
        return ""
    return ADDED_ZERO.sub(r"\1", WHOLE_NUMBER.sub(r"\1", text))


@dataclass(frozen=True)
class FileStyle:
    """How the columns of a file are written, to be used if a single column is ambiguous.

    Attributes:
      decimal: The decimal mark of its columns of numbers. None: they have none.
      dates: The formats of those columns of dates that are unambiguous.
      separator: The separator of the cells of a text file.
    """

    decimal: DecimalMark | None = None
    dates: tuple[DateFormat, ...] = ()
    separator: str = ","

    @classmethod
    def of(cls, cells: Cells, kinds: Mapping[str, str]) -> "FileStyle":
        """The style of a file whose columns have these kinds."""
        numbers = [cells[name] for name, kind in kinds.items() if kind == "number"]
        dates = [cells[name] for name, kind in kinds.items() if kind == "date"]
        choices = map(choose_date_format, dates)
        forms = tuple(choice.form for choice in choices if choice.other is None)
        return cls(common_mark(numbers), forms, cells.separator)


def describe(
    name: str, kind: str, cells: CellColumn, style: FileStyle | None = None
) -> tuple[Column, list[str]]:
    """Describe a column of training data and how its cells are written, with notes for the user.

    The kind may be followed by a colon and the notation of the cells: `number:,` has a decimal
    comma, `date:%d/%m/%Y` a format. Otherwise it is determined from the cells, and from the `style`
    of the other columns.
    """
    style = style or FileStyle()
    kind, written = split_kind(kind)
    column = Column.model_validate({"name": name, "kind": kind})
    if kind == "number":
        if written:
            form = NumberFormat("," if written == "," else ".")
        else:
            form = number_format(cells, style.decimal, style.separator)
        update: dict[str, object] = {"decimal": form.decimal, "grouped": form.decimal == ","}
        remarks = (
            _number_remark(name, form),
            unit_remark(name, cells),
            sentinel_remark(name, cells, form.decimal),
        )
        return column.model_copy(update=update), [remark for remark in remarks if remark]
    if kind == "date":
        if written:
            return Column.model_validate({**column.model_dump(), "date_format": written}), []
        choice = choose_date_format(cells, style.dates)
        lines = []
        if choice.other is not None:
            lines.append(
                f"{name}: {choice.example} may be {choice.form} or {choice.other}, read as the "
                f"first; --column '{name}=date:{choice.other}' reads the other"
            )
        lines += _date_remarks(name, cells, choice.form)
        return column.model_copy(update={"date_format": choice.form}), lines
    if kind == "text":
        column = column.model_copy(update={"signs": True})
    is_name = kind in ("category", "text") and not isinstance(cells, PlainNumbers)
    return column, name_remarks(name, cells.texts, column.kind) if is_name else []


def unused_remarks(name: str, cells: CellColumn) -> list[str]:
    """Notes about a column that is not used because each row has a different name in it."""
    is_number = isinstance(cells, PlainNumbers)
    return [] if is_number else name_remarks(name, cells.texts, "identifier")


def _date_remarks(name: str, cells: CellColumn, form: DateFormat) -> list[str]:
    """Notes about dates in a notation that can be read in several ways."""
    if form != EXCEL and not form.endswith("%y"):
        return []
    dates = parse_dates(cells, form)
    read = ~np.isnat(dates)
    if form != EXCEL:  # a year in the near future may belong to an earlier century
        read &= dates >= np.datetime64(f"{FAR_YEAR}-01-01")
    if not read.any():
        return []
    row = int(read.argmax())
    reason = "days as spreadsheets count them" if form == EXCEL else "69 is 1969, and 68 is 2068"
    return [f"{name}: {cells.texts[row]} is read as {str(dates[row])[:10]}: {reason}"]


def _number_remark(name: str, form: NumberFormat) -> str | None:
    """A note about numbers that could be read in two ways. None if they are unambiguous."""
    if not form.example or (form.is_certain and form.decimal == "."):
        return None
    other: DecimalMark = "." if form.decimal == "," else ","
    cell = Texts.of([form.example])
    number, rival = (f"{parse_numbers(cell, mark)[0]:g}" for mark in (form.decimal, other))
    doubt = "" if form.is_certain else ", which is a guess"
    fix = f"--column '{name}=number:{other}' reads {rival}"
    return f"{name}: {form.example} is read as {number}{doubt}; {fix}"


def as_cells(table: Table) -> dict[str, list[str]]:
    """The columns as text that is read as the same arrays again."""
    cells = {}
    for name, values in table.columns.items():
        if values.dtype == object:
            cells[name] = values.tolist()
        elif values.dtype.kind == "M":
            cells[name] = ["" if np.isnat(value) else str(value) for value in values]
        else:
            cells[name] = [float_text(float(value)) for value in values]
    return cells


def levels(values: Strings) -> tuple[str, ...]:
    """The values of a category, most frequent first, then by name; at most 1,000."""
    counts = Counter(values.tolist())
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(ordered[:MAX_LEVELS])


def read_rows(cells: Cells, contract: TableInput) -> tuple[Table, list[str]]:
    """Read the rows of a model's input as described in its contract, with notes for the user.

    Columns are found by name, in any order. The notes name columns that are not used, cells that
    cannot be read, and categories that did not occur in training.
    """
    notes = []
    wanted = [column.name for column in contract.columns]
    missing = [name for name in wanted if name not in cells]
    if missing:
        raise DataError(
            "E213",
            "The table lacks columns that the model needs",
            where=cells.name,
            expected=", ".join(wanted),
            fix=did_you_mean(missing[0], [name for name in cells.names if name not in wanted]),
            columns=missing,
        )
    known = {*wanted, contract.target, contract.id}
    extra = [name for name in cells.names if name not in known]
    if extra:
        notes.append(f"columns not used by the model: {shorten(extra, 5)} ({cells.name})")
    columns = {}
    with missing_texts(contract.na_values):
        for column in contract.columns:
            values = parse(column, cells[column.name])
            columns[column.name] = values
            notes += _remarks(column, cells[column.name], values, cells.name)
    return Table(columns), notes


def _remarks(column: Column, cells: CellColumn, values: NDArray[Any], where: str) -> list[str]:
    if column.kind in ("number", "date"):
        gone = np.isnan(values) if column.kind == "number" else np.isnat(values)
        wrong = np.flatnonzero(gone & ~cells.is_missing) if gone.any() else np.empty(0, np.int64)
        what = f"not a {column.kind}, read as missing"
    elif column.kind in ("category", "yes/no") and len(column.levels) < MAX_LEVELS:
        levels_seen = {*column.levels, ""}
        wrong = np.flatnonzero([value not in levels_seen for value in values])
        what = "never seen in training"
    else:
        return []
    if not wrong.size:
        return []
    texts = cells.texts.take(wrong).different
    examples = shorten(sorted({text[:80] for text in texts}), 5)
    return [
        f"{what}: {column.name}={examples} in {len(wrong)} rows, first row {wrong[0]} ({where})"
    ]


def graph_inputs(table: Table, contract: TableInput) -> dict[str, NDArray[Any]]:
    """The inputs of the graph: float32 (n, 1), strings (n, 1), or words (n, most words of a row).

    Rows with fewer words are filled with "", which is not a word.
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
            inputs[names[0]] = word_matrix(
                [split_words(text, signs=column.signs) for text in values]
            )
        elif column.kind == "number":
            bounded = np.clip(values, -LARGEST, LARGEST)
            inputs[names[0]] = bounded.astype(np.float32)[:, None]
        else:
            inputs[names[0]] = values[:, None]
    return inputs


def split_words(text: str, *, signs: bool = False) -> list[str]:
    """The words of a text in lower case: letters in a row, single signs, and numbers by their
    length.

    With `signs`, each character of a script without spaces is a word.

    Example:
      >>> split_words("Call 08001 NOW!")
      ['call', '#5', 'now', '!']
    """
    words = (WORD_OR_SIGN if signs else WORD).findall(text.lower())[:MAX_WORDS]
    return [f"#{len(word)}" if word.isdigit() else word for word in words]


def word_matrix(texts: Sequence[Sequence[str]]) -> Strings:
    """Words as a matrix (n, most words of a text), filled with ""."""
    width = max(1, max(map(len, texts), default=1))
    matrix: Strings = np.full((len(texts), width), "", object)
    for row, words in zip(matrix, texts, strict=True):
        row[: len(words)] = words
    return matrix


def date_parts(dates: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """The parts of each date (n,), in the order of `contract.DATE_PARTS`; NaN for a missing date.

    The weekday counts from Monday, 0. The circle of the year starts on the first of January.
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
