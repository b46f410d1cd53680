"""Rows of a table that are not data: a repeated header, units below the header, totals at the
end."""

import re

import numpy as np
from numpy.typing import NDArray

from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import Cells
from tenfold.inputs.tables.numbers import parse_numbers
from tenfold.inputs.tables.texts import PLAIN_NUMBER, CellColumn, PlainNumbers

TOTALS = {
    *("total", "totals", "grand total", "subtotal", "sum", "all", "average", "mean", "median"),
    *("summe", "gesamt", "insgesamt", "gesamtsumme", "mittelwert", "durchschnitt"),
    *("totale", "totaal", "somme", "moyenne", "suma", "media", "soma", "összesen", "итого"),
}
"""First cells of a row of sums or means, in lower case and without a colon."""

MAX_FOOTERS = 3
"""Number of rows at the end of a table that may be totals."""

MOSTLY = 0.95
LOOKED_AT = 1000
"""Number of rows whose cells show whether a column contains numbers."""

IN_BRACKETS = re.compile(r"[(\[<{].*[)\]>}]")
UNIT = re.compile(
    r"[^\d\s]{1,4}(?:[/^²³]\S{0,6})?|float\d*|int\d*|str(?:ing)?|num(?:eric|ber)?|text"
)
"""Cells below a name that are not data: a unit in brackets, a short unit such as m/s², or a
type."""


def without_other_rows(cells: Cells) -> tuple[Cells, list[str]]:
    """Return the rows that are data, and notes about the others."""
    if not cells.header or len(cells) < MAX_FOOTERS + 1:
        return cells, []
    is_other, notes = _repeats_header(cells), list[str]()
    if is_other.any():
        notes.append(f"{int(is_other.sum())} rows that repeat the header are left out")
    if not is_other[0] and _holds_units(cells):
        is_other[0] = True
        notes.append(
            f"the row below the header is not data, left out: {shorten(_row(cells, 0), 5)}"
        )
    for row in range(len(cells) - 1, len(cells) - 1 - MAX_FOOTERS, -1):
        if not _is_total(cells[cells.names[0]], row):
            break
        is_other[row] = True
        notes.append(
            f"the last row is no case of its own, left out: {shorten(_row(cells, row), 5)}"
        )
    return (cells.take(~is_other), notes) if notes else (cells, [])


def _row(cells: Cells, row: int) -> list[str]:
    return [cells[name].texts[row] for name in cells.names]


def _repeats_header(cells: Cells) -> NDArray[np.bool_]:
    """Whether each row contains the names of the columns (n,)."""
    names, first = cells.names, cells[cells.names[0]]
    is_same = np.zeros(len(cells), bool)
    if isinstance(first, PlainNumbers) and not PLAIN_NUMBER.fullmatch(names[0]):
        return is_same
    at = np.flatnonzero(first.texts.different == names[0])
    for row in np.flatnonzero(np.isin(first.texts.codes, at)).tolist() if at.size else ():
        is_same[row] = len(names) > 1 and _row(cells, row) == names
    return is_same


def _holds_units(cells: Cells) -> bool:
    """Whether the first row contains the units of all columns of numbers: of at least two, or one
    in brackets."""
    n_units = n_brackets = 0
    for name in cells.names:
        column = cells[name]
        if isinstance(column, PlainNumbers):
            is_number = np.isfinite(column.values[:LOOKED_AT])
            if is_number[0] and is_number[1:].any():
                return False
            continue
        rest = column.take(slice(1, LOOKED_AT)).present()
        if not len(rest) or np.isfinite(parse_numbers(rest)).mean() < MOSTLY:
            continue
        if np.isfinite(parse_numbers(column.take(slice(1))))[0]:
            return False
        n_units += UNIT.fullmatch(column[0].lower()) is not None
        n_brackets += IN_BRACKETS.fullmatch(column[0]) is not None
    return n_brackets >= 1 or n_units >= 2


def _is_total(first: CellColumn, row: int) -> bool:
    """Whether a row contains sums or means: its first cell says so, and no other row has such a
    cell."""
    if isinstance(first, PlainNumbers):
        return False
    text = _as_total(first[row])
    if text not in TOTALS:
        return False
    is_same = [_as_total(other) == text for other in first.different]
    return int(first.counts[is_same].sum()) == 1


def _as_total(text: str) -> str:
    return text.casefold().strip(" :")
