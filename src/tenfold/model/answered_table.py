"""The rows of a table with a model's answers beside them."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula
from tenfold.core.errors import DataError
from tenfold.model.csv_form import answer_names
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Prediction
from tenfold.model.readers import TableReader


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
    if not isinstance(model.reader, TableReader):
        raise DataError(
            "E516",
            "A model of something else than tables",
            expected="a table, to write answers beside its rows",
            fix="Print them with --csv",
        )
    cells = model.reader.cells(source)
    answers = model.predict(source)
    own = [str(name) for name in cells.frame.columns]
    names = [f"{name}_predicted" if name in own else name for name in _names(model)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(escape_formula, [*own, *names]))
    rows = cells.frame.itertuples(index=False, name=None)
    for row, beside in zip(rows, _cells(answers), strict=True):
        writer.writerow([*map(escape_formula, map(str, row)), *beside])
    files.write_text(out, text.getvalue())
    n_unsure = sum(isinstance(answer, Prediction) and answer.unsure for answer in answers)
    return AnsweredTable(len(answers), n_unsure, answers.notes)


def _names(model: Model) -> list[str]:
    names = answer_names(model.labels)
    return [*names[:3], "reason", *names[3:]] if model.labels else names


def _cells(answers: Answers) -> Iterator[list[str]]:
    for answer in answers:
        cells = answer.as_cells()
        if isinstance(answer, Prediction):
            cells.insert(3, escape_formula(answer.reason or ""))
        yield cells
