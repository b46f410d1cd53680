"""Rows of a table that are no data: its header again, units below the header, totals at the end."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import Cells, is_missing
from tenfold.inputs.tables.numbers import parse_numbers

if TYPE_CHECKING:
    import pandas as pd

TOTALS = {
    *("total", "totals", "grand total", "subtotal", "sum", "all", "average", "mean", "median"),
    *("summe", "gesamt", "insgesamt", "gesamtsumme", "mittelwert", "durchschnitt"),
    *("totale", "totaal", "somme", "moyenne", "suma", "media", "soma", "összesen", "итого"),
}
"""What the first cells of a row of sums or means say, in lower case, without a colon."""

MAX_FOOTERS = 3
"""Rows at the end that are looked at."""

MOSTLY = 0.95
LOOKED_AT = 1000
"""Rows whose cells show whether a column holds numbers."""

IN_BRACKETS = re.compile(r"[(\[<{].*[)\]>}]")
UNIT = re.compile(
    r"[^\d\s]{1,4}(?:[/^²³]\S{0,6})?|float\d*|int\d*|str(?:ing)?|num(?:eric|ber)?|text"
)
"""What stands below a name: a unit in brackets, a short one such as m/s², or a type."""


def without_other_rows(cells: Cells) -> tuple[Cells, list[str]]:
    """The rows that are data, and what was left out."""
    if not cells.header or len(cells) < MAX_FOOTERS + 1:
        return cells, []
    frame = cells.frame
    is_other, notes = _repeats_header(frame), list[str]()
    if is_other.any():
        notes.append(f"{int(is_other.sum())} rows that repeat the header are left out")
    if not is_other[0] and _holds_units(frame):
        is_other[0] = True
        notes.append(
            f"the row below the header is no data, left out: {shorten(frame.iloc[0].tolist(), 5)}"
        )
    for row in range(len(frame) - 1, len(frame) - 1 - MAX_FOOTERS, -1):
        if not _is_total(frame, row):
            break
        is_other[row] = True
        notes.append(
            f"the last row is no case of its own, left out: {shorten(frame.iloc[row].tolist(), 5)}"
        )
    if not notes:
        return cells, []
    return replace(cells, frame=frame[~is_other]), notes


def _repeats_header(frame: "pd.DataFrame") -> NDArray[np.bool_]:
    """Whether each row holds the names of the columns (n,)."""
    names = [str(name) for name in frame.columns]
    is_same = np.array(frame.iloc[:, 0] == names[0], bool)
    for row in np.flatnonzero(is_same):
        is_same[row] = len(names) > 1 and frame.iloc[row].tolist() == names
    return is_same


def _holds_units(frame: "pd.DataFrame") -> bool:
    """Whether the first row names the units of all columns of numbers, at least of two, or of one
    in brackets."""
    n_units = n_brackets = 0
    for name in frame.columns:
        first, rest = str(frame[name].iloc[0]), frame[name].iloc[1:LOOKED_AT]
        rest = rest[~is_missing(rest)]
        if not len(rest) or np.isfinite(parse_numbers(rest)).mean() < MOSTLY:
            continue
        if np.isfinite(parse_numbers(frame[name].iloc[:1]))[0]:
            return False
        n_units += UNIT.fullmatch(first.lower()) is not None
        n_brackets += IN_BRACKETS.fullmatch(first) is not None
    return n_brackets >= 1 or n_units >= 2


def _is_total(frame: "pd.DataFrame", row: int) -> bool:
    """Whether a row is one of sums or means: its first cell says so, and no other one does."""
    text = str(frame.iloc[row, 0]).casefold().strip(" :")
    if text not in TOTALS:
        return False
    return int((frame.iloc[:, 0].str.casefold().str.strip(" :") == text).sum()) == 1
