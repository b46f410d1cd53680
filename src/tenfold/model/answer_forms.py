"""Predict files, and format predictions as JSON and CSV."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula
from tenfold.core.errors import DataError, TenfoldError
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.explain import Explanation
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Prediction, Value
from tenfold.model.readers import read_cells

NO_NUMBER = "The model did not return a number for this input"
"""The error for a prediction that is NaN or infinite, which JSON cannot represent."""


class Answer(NamedTuple):
    """A prediction for one input, or the error if there is none.

    Attributes:
      input: The source of the input: a file, or the part of a request.
      row: Its number there.
      series: For a forecast of several series, the name of its series.
      id: The name of the row of a table, if a column contains one.
      code: The code of the error, if it has one.
      explanation: The contribution of each column, if requested.
      complete: Whether there is a prediction and, if requested, its picture was written.
    """

    input: str
    row: int
    answer: Prediction | Value | None = None
    error: str | None = None
    complete: bool = True
    series: str | None = None
    id: str | None = None
    explanation: Explanation | None = None
    code: str | None = None


def answer_files(
    model: Model,
    inputs: Sequence[Path],
    options: PictureOptions = DEFAULT_OPTIONS,
    *,
    look: Callable[[Path, Answers], bool] = lambda path, answers: True,
    explain: bool = False,
) -> Iterator[Answer]:
    """Predict inputs in order. An input that cannot be read is replaced by its error.

    With `explain`, each prediction has the contributions of its columns. `look` receives the
    predictions for each file before they are returned. It returns whether everything that was
    requested succeeded.
    """
    for path in inputs:
        try:
            why = model.explain(path) if explain else None
            answers = model.predict(path, options) if why is None else why.answers
        except TenfoldError as error:
            yield Answer(str(path), 0, error=str(error), complete=False, code=error.code)
            continue
        complete = look(path, answers)
        is_number: Any = np.isfinite(answers.outputs[0]).reshape(len(answers), -1).all(axis=1)
        for row in range(len(answers)):
            name = answers.ids[row] if answers.ids else None
            if is_number[row]:
                explanation = None if why is None else why[row]
                yield Answer(
                    str(path),
                    row,
                    answers[row],
                    complete=complete,
                    id=name,
                    explanation=explanation,
                )
            else:
                yield Answer(str(path), row, error=NO_NUMBER, complete=False, id=name)


def as_json(answer: Answer, top: int | None = None) -> dict[str, Any]:
    """The documented form (docs/format.md). `top` limits it to the most probable labels."""
    if answer.answer is None:
        return {"input": answer.input, "error": answer.error}
    series = {} if answer.series is None else {"series": answer.series}
    name = {} if answer.id is None else {"id": answer.id}
    facts = {"input": answer.input, **series, "row": answer.row, **name}
    written = facts | answer.answer.as_json(top)
    if answer.explanation is None:
        return written
    novelty = answer.answer.novelty
    known = {} if novelty is None else {"novelty": novelty}
    return written | known | {"explanation": answer.explanation.as_json()}


def csv_head(model: Model, first: Answer | None) -> list[str]:
    """The names of the columns. `first` is the first prediction, if there is one.

    The last one is `series` for a forecast of several series, or the column that names rows.
    """
    names = [escape_formula(name) for name in _answer_names(model)]
    others = ["series"] if first and first.series is not None else []
    if first and first.id is not None:
        others.append(escape_formula(model.contract.input.id or "id"))
    return ["input", "row", *names[:3], "error", *names[3:], *others]


def csv_row(answer: Answer, model: Model) -> list[str]:
    """One prediction under these columns. Cells that a spreadsheet would run are escaped."""
    if answer.answer is None:
        row = ["", *("" for _ in _answer_names(model))]
    else:
        row = [str(answer.row), *answer.answer.as_cells()]
    error = escape_formula(answer.error or "")
    others = [escape_formula(text) for text in (answer.series, answer.id) if text is not None]
    return [escape_formula(answer.input), *row[:4], error, *row[4:], *others]


def _answer_names(model: Model) -> list[str]:
    if not model.labels:
        return ["value", "low", "high"]
    sets = ["prediction_set"] if model.contract.gives_sets else []
    return ["label", "confidence", "unsure", *(f"p_{label}" for label in model.labels), *sets]


class AnsweredTable(NamedTuple):
    """The predictions that were written beside a table's rows, and how many of them are unsure."""

    answers: Answers
    n_unsure: int


def write_answered_table(model: Model, source: Path, out: Path) -> AnsweredTable:
    """Write a table's own columns unchanged, and add the columns of the predictions.

    Cells that a spreadsheet would run are escaped.

    Raises:
      DataError: The model is not for tables, or the rows do not fit it.
      FormatError, FileError: The table cannot be read, or the file cannot be written.
    """
    accepted = model.contract.input
    if accepted.kind != "table":
        raise DataError(
            "E517",
            "This model does not predict tables",
            expected="a model of tables, to write predictions beside the rows",
            fix="Print them with --csv",
        )
    cells = read_cells(source, accepted)
    answers = model.predict(source)
    own = cells.names
    columns = [*_answer_names(model), *(["reason"] if model.labels else [])]
    names = [f"{name}_predicted" if name in own else name for name in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(escape_formula, [*own, *names]))
    n_unsure = 0
    for number, row in enumerate(zip(*cells.as_text().values(), strict=True)):
        answer = answers[number]
        reasons = [answer.as_json(0)["reason"] or ""] if model.labels else []
        n_unsure += any(reasons)
        own_cells = map(escape_formula, row)
        writer.writerow([*own_cells, *answer.as_cells(), *map(escape_formula, reasons)])
    files.write_text(out, text.getvalue())
    return AnsweredTable(answers, n_unsure)
