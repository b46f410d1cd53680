"""Numbers as people write them: thousands, decimal commas, currencies, percent and minus signs.

A cell such as 1.218,42 says by itself how it is meant. One such as 2.175 does not: it is read as
the other cells of its column show, else as the other columns of the file do.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import DecimalMark
from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import is_missing

if TYPE_CHECKING:
    import pandas as pd

SIGNS = str.maketrans(dict.fromkeys("\u2212\u2012\u2013\ufe63\uff0d", "-") | {"\uff0b": "+"})
"""Characters that people and programs write for a minus or a plus sign."""

CURRENCY = (
    r"(?:(?:US|A|C|R|NZ|HK)?[$¢-¥֏؋৲৳฿៛₠-⃀﷼＄￠￡￥￦]"
    r"|EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|RON|RUB|TRY|BRL|MXN|ZAR|KRW"
    r"|kr\.?|zł|Kč|Ft|Fr\.|Rs\.?|руб\.?)"
)
"""Unicode's currency signs, and codes and words of ISO 4217 that stand in tables."""

BEFORE = rf"^([-+]?)\s*{CURRENCY}\s*(?=[-+.\d])"
BEHIND = rf"\s*(?:{CURRENCY}|%)$"
BLANK_GROUPS = r"^(-?[1-9]\d{0,2})((?:[ \u00a0\u2007\u2009\u202f'\u2019]\d{3})+)(?=[.,]\d+$|$)"


def _marks(decimal: str, group: str) -> dict[str, str]:
    """Patterns of numbers with this decimal mark and this mark between groups of digits.

    `clear` fits cells that nobody can read otherwise, `unclear` those with three digits behind a
    single mark between groups. Groups of two digits are those of India, as in 1,00,000.
    """
    first, middle = r"^[-+]?[1-9]\d{0,2}", r"\d{2,3}" if group == "," else r"\d{3}"
    groups = rf"(?:{group}{middle})*{group}\d{{3}}"
    return {
        "clear": rf"{first}{groups}{decimal}\d*$"
        rf"|{first}{group}{middle}{groups}$"
        rf"|^[-+]?(?:0\d*|\d{{4,}})?{decimal}\d+(?:[eE][-+]?\d+)?$"
        rf"|^[-+]?\d{{1,3}}{decimal}(?:\d{{1,2}}|\d{{4,}})(?:[eE][-+]?\d+)?$",
        "unclear": rf"{first}{group}\d{{3}}$",
    }


POINT, COMMA = _marks(r"\.", ","), _marks(",", r"\.")
"""How numbers look with a decimal point, and with a decimal comma."""

PLAIN = r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?"
"""Numbers of digits and marks alone."""

NINES = r"(?:-?9{2,}|-1)(?:\.0+)?"
"""What stands in many files for a number that is missing."""

SHORT, LONG = r"^[-+]?\d{1,3}$", r"^[-+]?\d{4,}$"
"""Whole numbers that need no mark between thousands, and those that would have one."""


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes:
      decimal: The decimal mark.
      example: A cell that could be read in two ways; empty where there is none.
      is_certain: Whether cells of the column, or of others, tell which one is right.
    """

    decimal: DecimalMark
    example: str = ""
    is_certain: bool = True


def number_format(
    cells: "pd.Series[str]", others: DecimalMark | None = None, separator: str = ","
) -> NumberFormat:
    """Find out how the numbers of a column are written.

    Cells that can be read in one way only decide by their majority. Without any, the other columns
    of the file decide; then the whole numbers beside the unclear cells: 547 beside 1.562 needs no
    mark for thousands, 1547 would have had one. What is left is a guess, and is said to be one.

    Args:
      cells: Text.
      others: The decimal mark that other columns of the file show; None: they show none.
      separator: Of the file's cells: programs set to a decimal comma write semicolons.
    """
    shown, points, commas = _marked(cells)
    if shown is not None:
        return NumberFormat(shown, _first(points if shown == "," else commas))
    example = _first(points if len(points) else commas)
    if others is not None or not example:
        return NumberFormat(others or ".", example)
    whole, is_point = bare(cells), len(points) > 0
    if whole.str.match(LONG).any():
        return NumberFormat("." if is_point else ",", example)
    if whole.str.match(SHORT).any():
        return NumberFormat("," if is_point else ".", example)
    return NumberFormat("," if separator == ";" else ".", example, is_certain=False)


def _first(cells: "pd.Series[str]") -> str:
    return str(cells.iloc[0]) if len(cells) else ""


def _marked(
    cells: "pd.Series[str]",
) -> tuple[DecimalMark | None, "pd.Series[str]", "pd.Series[str]"]:
    """The mark that most cells show, and those that could be thousands: with a point, a comma."""
    text = cells[cells.str.contains("[.,]", regex=True)]
    if not len(text):
        return None, text, text
    text = bare(text)
    n_point, n_comma = (int(text.str.match(form["clear"]).sum()) for form in (POINT, COMMA))
    points, commas = (text[text.str.match(form["unclear"])] for form in (COMMA, POINT))
    shown: DecimalMark = "," if n_comma > n_point else "."
    return None if n_point == n_comma else shown, points, commas


def common_mark(columns: Iterable["pd.Series[str]"]) -> DecimalMark | None:
    """The decimal mark that most columns of a file show; None where as many show the other."""
    marks = [_marked(cells)[0] for cells in columns]
    n_point, n_comma = marks.count("."), marks.count(",")
    if n_point == n_comma:
        return None
    return "," if n_comma > n_point else "."


def parse_numbers(
    cells: "pd.Series[str]", decimal: DecimalMark | None = None, *, grouped: bool = True
) -> NDArray[np.float64]:
    """Numbers of cells (n,); NaN where a cell is not a finite one.

    Understood beside plain numbers are thousands (1,234.5, 1.234,5, 1 234, 1'234 and 1,00,000), a
    currency before or behind, a percent sign behind (12% is 12), the minus signs of Unicode, a
    minus behind and amounts in brackets, which are negative.

    Args:
      cells: Text.
      decimal: The decimal mark; None: that which the cells show. A cell that can be read in one
        way only is read so whatever the mark is.
      grouped: With a decimal comma a point separates thousands, so that 2.175 is 2175. False reads
        2.175, as models of the first versions do.
    """
    import pandas as pd

    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, copy=True)
    if decimal is None:
        decimal = number_format(cells).decimal
    unread = np.isnan(values)
    if decimal == "," and grouped:
        unread |= cells.str.match(COMMA["unclear"]).to_numpy(bool)
    unread &= ~is_missing(cells).to_numpy(bool)
    if unread.any():
        text = _with_point(bare(cells[unread]), decimal, grouped)
        values[unread] = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def bare(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Numbers without currency, percent sign and blanks between groups, and with a plain minus."""
    is_odd = ~cells.str.fullmatch(PLAIN)
    if not is_odd.any():
        return cells
    text = cells[is_odd].str.translate(SIGNS).str.strip()
    text = text.str.replace(r"^'(?=[-+.,\d])", "", regex=True)  # text in a spreadsheet
    text = text.str.replace(r"^\((.*\d.*)\)$", r"-\1", regex=True)
    text = text.str.replace(BEHIND, "", regex=True).str.replace(BEFORE, r"\1", regex=True)
    text = text.str.replace(r"^(\d[\d., ]*)-$", r"-\1", regex=True)
    text = text.str.replace(
        BLANK_GROUPS, lambda groups: groups[1] + re.sub(r"\D", "", groups[2]), regex=True
    )
    changed = cells.copy()
    changed[is_odd.to_numpy(bool)] = text.to_numpy()
    return changed


def _with_point(text: "pd.Series[str]", decimal: DecimalMark, grouped: bool) -> "pd.Series[str]":
    """The numbers with a decimal point and without marks between groups."""
    is_comma = text.str.match(COMMA["clear"])
    is_point = text.str.match(POINT["clear"])
    if decimal == "," and grouped:
        is_comma |= text.str.match(COMMA["unclear"])
    if decimal == ",":
        is_comma |= text.str.match(POINT["unclear"])
    else:
        is_point |= text.str.match(POINT["unclear"])
    commas = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    points = text.str.replace(",", "", regex=False)
    return text.mask(is_point, points).mask(is_comma, commas)


def unit_remark(name: str, cells: "pd.Series[str]") -> str | None:
    """A line about numbers in several units, which are read as if it were one; None without."""
    if cells.str.fullmatch(rf"(?:{PLAIN})?").all():
        return None
    text = cells.str.translate(SIGNS)
    before = text.str.extract(rf"^[-+(]?\s*({CURRENCY})\s*[-+.\d]", expand=False)
    behind = text.str.extract(rf"\d[.\s]*({CURRENCY}|%)\)?$", expand=False)
    counts = dict(before.fillna(behind).fillna("").value_counts())
    if len(counts) < 2 or (len(counts) == 2 and "" in counts and "%" not in counts):
        return None
    kinds = [f"{unit or 'none'} ({n:,})" for unit, n in counts.items()]
    return f"{name} has numbers of several units, read as of one: {shorten(kinds, 5)}"


def sentinel_remark(name: str, cells: "pd.Series[str]", decimal: DecimalMark) -> str | None:
    """A line about a number such as -999 that repeats far from all others; None without one."""
    nines = cells[cells.str.fullmatch(NINES)]
    counts = nines.value_counts()
    if not len(counts) or counts.iloc[0] < 2:
        return None
    text = str(counts.index[0])
    others = parse_numbers(cells[cells != text], decimal)
    others = others[np.isfinite(others)]
    value = float(text)
    if len(others) < 2 or np.ptp(others) >= min(
        abs(value - others.min()), abs(value - others.max())
    ):
        return None
    return (
        f"{name}: {text} stands in {int(counts.iloc[0]):,} rows, far from all other numbers; "
        "leave these cells empty if it means that they are missing"
    )
