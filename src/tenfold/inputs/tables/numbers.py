"""Parse numbers as people write them: thousands, decimal commas, currencies, percent, minus signs.

A cell such as 1.218,42 is unambiguous. One such as 2.175 is not: it is read like the other cells of
its column, or else like the other columns of the file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import DecimalMark
from tenfold.core.text import shorten
from tenfold.inputs.tables.texts import CellColumn, PlainNumbers, Texts, kept

DIGIT = re.compile(r"\d")

SIGNS = str.maketrans(dict.fromkeys("\u2212\u2012\u2013\ufe63\uff0d", "-") | {"\uff0b": "+"})
"""Characters that are written for a minus or a plus sign."""

MARKS = str.maketrans({"\uff0e": ".", "\uff0c": ",", "\u066b": ".", "\u066c": ","})
"""Decimal and thousands marks of other scripts."""

CURRENCY = (
    r"(?:(?:US|A|C|R|NZ|HK)?[$¢-¥֏؋৲৳฿៛₠-⃀﷼＄￠￡￥￦]"
    r"|EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|RON|RUB|TRY|BRL|MXN|ZAR|KRW"
    r"|kr\.?|zł|Kč|Ft|Fr\.|Rs\.?|руб\.?)"
)
"""Unicode's currency signs, and codes and words of ISO 4217 that occur in tables."""

BEFORE = re.compile(rf"^([-+]?)\s*{CURRENCY}\s*(?=[-+.\d])")
BEHIND = re.compile(rf"\s*(?:{CURRENCY}|%)$")
BLANK_GROUPS = re.compile(
    r"^(-?[1-9]\d{0,2})((?:[ \u00a0\u2007\u2009\u202f'\u2019]\d{3})+)(?=[.,]\d+$|$)"
)
UNIT_BEFORE = re.compile(rf"^[-+(]?\s*({CURRENCY})\s*[-+.\d]")
UNIT_BEHIND = re.compile(rf"\d[.\s]*({CURRENCY}|%)\)?$")
SPREADSHEET_TEXT = re.compile(r"^'(?=[-+.,\d])")
IN_BRACKETS, MINUS_BEHIND = re.compile(r"^\((.*\d.*)\)$"), re.compile(r"^(\d[\d., ]*)-$")


@dataclass(frozen=True)
class Mark:
    """The patterns of numbers with one mark before the fraction and another between groups of
    digits.

    `clear` matches cells that can be read in only one way, `unclear` those with three digits after
    a single mark. Groups of two digits are Indian, as in 1,00,000.
    """

    clear: re.Pattern[str]
    unclear: re.Pattern[str]

    @classmethod
    def of(cls, decimal: str, group: str) -> "Mark":
        """Make the patterns of two marks, which are escaped."""
        first, middle = r"^[-+]?[1-9]\d{0,2}", r"\d{2,3}" if group == "," else r"\d{3}"
        groups = rf"(?:{group}{middle})*{group}\d{{3}}"
        clear = (
            rf"{first}{groups}{decimal}\d*$"
            rf"|{first}{group}{middle}{groups}$"
            rf"|^[-+]?(?:0\d*|\d{{4,}})?{decimal}\d+(?:[eE][-+]?\d+)?$"
            rf"|^[-+]?\d{{1,3}}{decimal}(?:\d{{1,2}}|\d{{4,}})(?:[eE][-+]?\d+)?$"
        )
        return cls(re.compile(clear), re.compile(rf"{first}{group}\d{{3}}$"))


POINT, COMMA = Mark.of(r"\.", ","), Mark.of(",", r"\.")
"""The patterns of numbers with a decimal point, and with a decimal comma."""

PLAIN = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?")
"""Numbers that consist of digits and marks only."""

NINES = re.compile(r"-?9{2,}|-9|-1")
"""Numbers that stand for a missing value in many files."""

LEAST_NEGATIVE = -9
"""A number such as -9 or -99 is reported if no other number is negative. -1 may be an ordinary
number."""

SHORT, LONG = re.compile(r"^[-+]?\d{1,3}$"), re.compile(r"^[-+]?\d{4,}$")
"""The patterns of integers that are too short for a mark between thousands, and of those that are
long enough but have none."""


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes:
      decimal: The decimal mark.
      example: A cell that could be read in two ways. Empty if there is none.
      is_certain: Whether cells of this or of other columns show which reading is correct.
    """

    decimal: DecimalMark
    example: str = ""
    is_certain: bool = True


def number_format(
    cells: CellColumn, others: DecimalMark | None = None, separator: str = ","
) -> NumberFormat:
    """Find out how the numbers of a column are written.

    Unambiguous cells decide by their majority. Without any, the other columns of the file decide,
    and then the integers next to the ambiguous cells: 547 next to 1.562 needs no mark for
    thousands, while 1547 would have had one. Otherwise the result is a guess, which is reported.

    Args:
      cells: The column.
      others: The decimal mark of the other columns of the file. None: they have none.
      separator: The separator of the file. Programs set to a decimal comma write semicolons.
    """
    if isinstance(cells, PlainNumbers) and (cells.is_whole or _shows_point(cells)):
        return NumberFormat((others if cells.is_whole else None) or ".")
    marks = _marked(cells.texts)
    if marks.shown is not None:
        return NumberFormat(marks.shown, marks.points if marks.shown == "," else marks.commas)
    example = marks.points or marks.commas
    if others is not None or not example:
        return NumberFormat(others or ".", example)
    whole = [bare(text) for text in cells.texts.different]
    if any(map(LONG.match, whole)):
        return NumberFormat("." if marks.points else ",", example)
    if any(map(SHORT.match, whole)):
        return NumberFormat("," if marks.points else ".", example)
    return NumberFormat("," if separator == ";" else ".", example, is_certain=False)


@dataclass(frozen=True)
class _Marks:
    """The mark that most cells show, and the first cells that could be thousands, with a point and
    with a comma, or "" if there is none."""

    shown: DecimalMark | None
    points: str = ""
    commas: str = ""


@kept
def _marked(texts: Texts) -> _Marks:
    n_point = n_comma = 0
    points = commas = ""
    for text, n in zip(texts.different, texts.counts.tolist(), strict=True):
        if "." in text or "," in text:
            number = bare(text)
            n_point += n if POINT.clear.match(number) else 0
            n_comma += n if COMMA.clear.match(number) else 0
            points = points or (number if COMMA.unclear.match(number) else "")
            commas = commas or (number if POINT.unclear.match(number) else "")
    shown: DecimalMark = "," if n_comma > n_point else "."
    return _Marks(None if n_point == n_comma else shown, points, commas)


def _shows_point(numbers: PlainNumbers) -> bool:
    """Whether one of the first cells certainly has a decimal point, and no decimal comma."""
    return any(map(POINT.clear.match, numbers.first.different))


def common_mark(columns: Iterable[CellColumn]) -> DecimalMark | None:
    """The decimal mark of most columns of a file. None if both occur equally often."""
    marks = [_shown(column) for column in columns]
    n_point, n_comma = marks.count("."), marks.count(",")
    if n_point == n_comma:
        return None
    return "," if n_comma > n_point else "."


def _shown(column: CellColumn) -> DecimalMark | None:
    if isinstance(column, PlainNumbers) and (column.is_whole or _shows_point(column)):
        return None if column.is_whole else "."
    return _marked(column.texts).shown


def parse_numbers(
    cells: CellColumn, decimal: DecimalMark | None = None, *, grouped: bool = True
) -> NDArray[np.float64]:
    """The numbers of cells (n,). NaN if a cell is not a finite number.

    Apart from plain numbers, this understands thousands (1,234.5, 1.234,5, 1 234, 1'234 and
    1,00,000), a currency before or after, a percent sign after (12% is 12), the minus signs of
    Unicode, a trailing minus, and amounts in brackets, which are negative.

    Args:
      cells: The column.
      decimal: The decimal mark. None: the one that the cells show. Unambiguous cells are read
        correctly whatever the mark is.
      grouped: With a decimal comma, a point separates thousands, so that 2.175 is 2175. False reads
        2.175, as the models of the first versions did.
    """
    if decimal is None:
        decimal = number_format(cells).decimal
    if isinstance(cells, PlainNumbers) and not (decimal == "," and grouped):
        return cells.values
    texts = cells.texts
    return numbers_of(texts, decimal, grouped)[texts.codes]


@kept
def numbers_of(texts: Texts, decimal: DecimalMark, grouped: bool = True) -> NDArray[np.float64]:
    """The number of each distinct text (n_different,); see `parse_numbers`."""
    import pandas as pd

    different = texts.different
    values = pd.to_numeric(different, errors="coerce").astype(np.float64)
    is_grouped = decimal == "," and grouped
    unread = np.isnan(values) | (texts.match(COMMA.unclear) if is_grouped else False)
    at = np.flatnonzero(unread & ~texts.missing)
    at = at[[DIGIT.search(text) is not None for text in different[at]]]
    if at.size:
        pointed = [_with_point(bare(text), decimal, grouped) for text in different[at]]
        values[at] = pd.to_numeric(np.array(pointed, object), errors="coerce")
    values[~np.isfinite(values)] = np.nan
    return values


def bare(text: str) -> str:
    """A number without currency, percent sign and spaces between groups, and with a plain minus."""
    if not text.isascii():  # digits of other scripts, as typed on Japanese and Arabic keyboards
        text = "".join(
            str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text
        )
        text = text.translate(MARKS)
    if PLAIN.fullmatch(text):
        return text
    text = SPREADSHEET_TEXT.sub("", text.translate(SIGNS).strip())
    text = IN_BRACKETS.sub(r"-\1", text)
    text = BEFORE.sub(r"\1", BEHIND.sub("", text))
    text = MINUS_BEHIND.sub(r"-\1", text)
    return BLANK_GROUPS.sub(lambda groups: groups[1] + re.sub(r"\D", "", groups[2]), text)


def _with_point(number: str, decimal: DecimalMark, grouped: bool) -> str:
    """The number with a decimal point and without marks between groups."""
    is_comma = COMMA.clear.match(number) or (
        decimal == ","
        and (POINT.unclear.match(number) or (grouped and COMMA.unclear.match(number)))
    )
    if is_comma:
        return number.replace(".", "").replace(",", ".")
    if POINT.clear.match(number) or (decimal == "." and POINT.unclear.match(number)):
        return number.replace(",", "")
    return number


def unit_remark(name: str, cells: CellColumn) -> str | None:
    """A note about numbers in several units, which are read as if they had the same unit. None:
    there are none."""
    if isinstance(cells, PlainNumbers):
        return None
    counts: Counter[str] = Counter()
    is_odd = False
    for text, n in zip(cells.different, cells.counts.tolist(), strict=True):
        is_plain = not text or PLAIN.fullmatch(text) is not None
        is_odd = is_odd or not is_plain
        counts["" if is_plain else _unit(text)] += n
    if not is_odd or len(counts) < 2 or (len(counts) == 2 and "" in counts and "%" not in counts):
        return None
    kinds = [f"{unit or 'none'} ({n:,})" for unit, n in counts.most_common()]
    return f"{name} has numbers of several units, read as of one: {shorten(kinds, 5)}"


def _unit(text: str) -> str:
    """The currency or percent sign of a number, or "" if it has none."""
    text = text.translate(SIGNS)
    found = UNIT_BEFORE.search(text) or UNIT_BEHIND.search(text)
    return found[1] if found else ""


def sentinel_remark(name: str, cells: CellColumn, decimal: DecimalMark) -> str | None:
    """A note about a number such as -999 that occurs repeatedly and is far from all others. None:
    there is none."""
    if isinstance(cells, PlainNumbers):
        ends = (cells.present.min(), cells.present.max()) if len(cells.present) else ()
        if not any(map(_is_nine, ends)):
            return None
        numbers, counts = np.unique(cells.present, return_counts=True)
    else:
        numbers, counts = numbers_of(cells.texts, decimal), cells.texts.counts
    is_nine = np.array([_is_nine(number) for number in numbers], bool)
    others = np.isfinite(numbers) & ~is_nine
    if counts[others].sum() < 2:
        return None
    found = [
        f"{numbers[i]:g} in {counts[i]:,} rows"
        for i in np.flatnonzero(is_nine & (counts > 1))
        if _is_beyond(numbers[i], numbers[others])
    ]
    if not found:
        return None
    example = found[0].partition(" ")[0]
    return (
        f"{name} has numbers far from all others: {shorten(found)}; if one means that the cell is "
        f"missing, say --na-values {example}"
    )


def _is_nine(number: float) -> bool:
    """Whether a number is of the form -999."""
    return NINES.fullmatch(f"{number:.17g}") is not None


def _is_beyond(value: float, others: NDArray[np.float64]) -> bool:
    """Whether a number is further from all others than they are from each other, or is the only
    negative one."""
    low, high = others.min(), others.max()
    is_alone = value <= LEAST_NEGATIVE and low >= 0
    return bool(is_alone or high - low < min(abs(value - low), abs(value - high)))
