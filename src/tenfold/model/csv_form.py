"""An answer as `predict --csv` prints it, and as a cluster writes it."""

from collections.abc import Sequence

from tenfold.core.csv_cells import escape_formula, number_text
from tenfold.model.json_form import Answer, finite
from tenfold.model.predictions import Estimate


def csv_head(labels: Sequence[str]) -> list[str]:
    """Names of the columns, for a model of these labels; of numbers where there are none."""
    names = map(escape_formula, _names(labels))
    first = ("input", "row", next(names), next(names), next(names))
    return [*first, "error", *names]


def csv_row(answer: Answer, labels: Sequence[str]) -> list[str]:
    """One answer under these columns; cells that a spreadsheet would run are written harmlessly."""
    found = answer.answer
    if found is None:
        row = ["", *("" for _ in _names(labels))]
    elif isinstance(found, Estimate):
        ends = (finite(found.low), finite(found.high))
        row = [str(answer.row), *map(number_text, (found.value, *ends))]
    else:
        confidence, unsure = number_text(found.confidence), str(found.unsure).lower()
        values = map(number_text, found.values.tolist())
        row = [str(answer.row), escape_formula(found.label), confidence, unsure, *values]
    error = escape_formula(answer.error or "")
    return [escape_formula(answer.input), *row[:4], error, *row[4:]]


def _names(labels: Sequence[str]) -> list[str]:
    if labels:
        return ["label", "confidence", "unsure", *(f"p_{label}" for label in labels)]
    return ["value", "low", "high"]
