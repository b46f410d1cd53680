"""An answer as `predict --csv` prints it, and as a cluster writes it."""

from collections.abc import Sequence

from tenfold.core.csv_cells import escape_formula
from tenfold.model.json_form import Answer


def csv_head(labels: Sequence[str]) -> list[str]:
    """Names of the columns, for a model of these labels; of numbers where there are none."""
    names = map(escape_formula, answer_names(labels))
    first = ("input", "row", next(names), next(names), next(names))
    return [*first, "error", *names]


def csv_row(answer: Answer, labels: Sequence[str]) -> list[str]:
    """One answer under these columns; cells that a spreadsheet would run are written harmlessly."""
    if answer.answer is None:
        row = ["", *("" for _ in answer_names(labels))]
    else:
        row = [str(answer.row), *answer.answer.as_cells()]
    error = escape_formula(answer.error or "")
    return [escape_formula(answer.input), *row[:4], error, *row[4:]]


def answer_names(labels: Sequence[str]) -> list[str]:
    """Names of the columns of an answer itself."""
    if labels:
        return ["label", "confidence", "unsure", *(f"p_{label}" for label in labels)]
    return ["value", "low", "high"]
