"""The rows of a table with a model's answers beside them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula
from tenfold.core.errors import DataError
from tenfold.model.csv_form import answer_names
from tenfold.model.model import Model
from tenfold.model.readers import read_cells


class AnsweredTable(NamedTuple):
    """What was written.

    Attributes:
      n_rows: Rows of the table.
      n_unsure: Rows whose answer is unsure.
      notes: What a reader should know about the rows.
    """

    n_rows: int
    n_unsure: int
    notes: Sequence[str]


def write_answered_table(model: Model, source: Path, out: Path) -> AnsweredTable:
    """Write a table's own columns, as they are, with the answers beside them.

    Args:
      model: A model of tables.
      source: The table.
      out: The CSV file; cells that a spreadsheet would run are written harmlessly.

    Raises:
      DataError: A model of something else, or rows that do not fit it.
      FormatError, FileError: The table cannot be read, or the file cannot be written.
    """
    accepted = model.contract.input
    if accepted.kind != "table":
        raise DataError(
            "E517",
            "A model of something else than tables",
            expected="a table, to write answers beside its rows",
            fix="Print them with --csv",
        )
    cells = read_cells(source, accepted)
    answers = model.predict(source)
    own = [str(name) for name in cells.frame.columns]
    columns = [*answer_names(model.labels), *(["reason"] if model.labels else [])]
    names = [f"{name}_predicted" if name in own else name for name in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(escape_formula, [*own, *names]))
    n_unsure = 0
    for number, row in enumerate(cells.frame.itertuples(index=False, name=None)):
        answer = answers[number]
        reasons = [answer.as_json(0)["reason"] or ""] if model.labels else []
        n_unsure += any(reasons)
        own_cells = map(escape_formula, map(str, row))
        writer.writerow([*own_cells, *answer.as_cells(), *map(escape_formula, reasons)])
    files.write_text(out, text.getvalue())
    return AnsweredTable(len(answers), n_unsure, answers.notes)
