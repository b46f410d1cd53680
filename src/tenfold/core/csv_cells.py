"""Cells of the CSV files that Tenfold writes, which are safe in a spreadsheet and exact as
numbers."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tenfold.core import files

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def escape_formula(text: str) -> str:
    """Write a cell that no spreadsheet runs as a formula: text that begins like one gets a `'` in
    front.

    Plain numbers are unchanged. `unescape_formula` is the inverse.

    Example:
      >>> [escape_formula(text) for text in ("=1+1", "-1.5", "@SUM(A1)", "spam")]
      ["'=1+1", '-1.5', "'@SUM(A1)", 'spam']

    Source: OWASP ASVS 5.0, 1.2.10; carriage return and line feed from OWASP, CSV Injection.
    """
    return f"'{text}" if _is_formula(text) and not PLAIN_NUMBER.fullmatch(text) else text


def unescape_formula(cell: str) -> str:
    """Restore the text from which `escape_formula` made a cell.

    Example:
      >>> [unescape_formula(cell) for cell in ("'=1+1", "-1.5", "'quoted'")]
      ['=1+1', '-1.5', "'quoted'"]
    """
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    # Leading quotes are skipped, so that text that already has one gets another, and can be
    # restored.
    return text.lstrip("'").startswith(FORMULA_STARTS)


def csv_line(cells: Iterable[str]) -> str:
    """Several cells in one, as a line of CSV.

    Example:
      >>> csv_line(["a", "b, c"])
      'a,"b, c"'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def number_text(value: float | int | None) -> str:
    """A number as text with at most 9 digits, which identify a float32. Empty for None."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table durably."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (columns, *rows):
        # The `csv` module quotes a carriage return only as a line end, but readers split lines at
        # each.
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    files.write_text(path, text.getvalue())
