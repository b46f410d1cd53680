"""The first sheet of an Excel workbook as a pandas frame: values, never formulas."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import DataError, FormatError
from tenfold.inputs.tables.arrow import needs
from tenfold.inputs.tables.unpack import check_cells, open_zip

if TYPE_CHECKING:
    import pandas as pd

SHEET = "xl/workbook.xml"
"""The part that a zip archive has if it is a workbook (ECMA-376, part 1, 12.3.23)."""


def is_workbook(content: bytes, path: Path) -> bool:
    """Whether a zip archive is an Excel workbook.

    Raises:
      FormatError: Damaged, or larger than it may be.
    """
    with open_zip(content, path) as archive:
        return SHEET in archive.namelist()


def read_workbook(
    content: bytes, path: Path, header: bool | None
) -> tuple["pd.DataFrame", tuple[str, ...]]:
    """The frame of a workbook's first sheet, and what a reader should know.

    The first row that is not empty holds the names of the columns, unless `header` is False. Of a
    formula the value is read that Excel stored with it.

    Raises:
      DataError: openpyxl is not installed, or there are no rows.
      FormatError: Damaged, or of more cells than its size allows.
    """
    import pandas as pd

    try:
        import openpyxl
    except ImportError as error:
        raise needs("Excel", "openpyxl", path) from error
    try:
        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=True, keep_links=False
        )
        sheets = book.worksheets
        rows = list(_rows(sheets[0], len(content), path)) if sheets else []
    except (DataError, FormatError):
        raise
    except Exception as error:  # openpyxl's errors, and those of zip and XML, share no other base
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise FormatError("E236", "Damaged workbook", where=path, reason=reason) from error
    if not rows:
        raise DataError("E436", "No rows", where=path, expected="at least one row of data")
    width = max(map(len, rows))
    check_cells(len(rows) * width, len(content), path)
    rows = [[*row, *[None] * (width - len(row))] for row in rows]
    notes = [f"Excel, sheet {sheets[0].title}"]
    if len(sheets) > 1:
        notes.append(f"{len(sheets) - 1} other sheets not read")
    if header is False:
        return pd.DataFrame(rows, columns=[str(i) for i in range(width)], dtype=object), (*notes,)
    names = ["" if cell is None else str(cell) for cell in rows[0]]
    return pd.DataFrame(rows[1:], columns=names, dtype=object), (*notes,)


def _rows(sheet: Any, n_bytes: int, path: Path) -> Iterator[Sequence[Any]]:
    """The rows that are not empty, without empty cells at their end."""
    sheet.reset_dimensions()  # what the file says of them may be wrong
    n_cells = 0
    for row in sheet.iter_rows(values_only=True):
        n_cells += 1 + len(row)
        check_cells(n_cells, n_bytes, path)
        width = max((i for i, cell in enumerate(row, 1) if cell not in (None, "")), default=0)
        if width:
            yield list(islice(row, width))
