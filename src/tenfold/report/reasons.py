"""Explanations of the predictions for some test rows of a table, for the report."""

from collections.abc import Sequence
from typing import NamedTuple

from tenfold.core.errors import TenfoldError
from tenfold.model.explain import Explanation
from tenfold.runs.csv_files import StoredAnswers, read_test_rows
from tenfold.runs.record import Run

N_ROWS, N_COLUMNS = 5, 8
"""The number of rows that are explained, and the number of columns that are shown for each."""

MAX_COLUMNS = 200
"""Models with more columns are not explained, because a sampled value takes 200 predictions for
each."""


class ColumnPart(NamedTuple):
    """A column's cell and its contribution."""

    column: str
    cell: str
    contribution: float
    error: float | None


class Reason(NamedTuple):
    """The explanation of a row: its key, the explanation, the columns with the largest
    contributions, and the joint contribution of the columns that are not shown (None if all
    are)."""

    key: str
    explanation: Explanation
    parts: Sequence[ColumnPart]
    others: float | None


def explain_rows(run: Run, stored: StoredAnswers) -> list[Reason]:
    """Explain the test rows at the top of the report: wrong predictions, most confident first.

    None if the run has no rows of a table, was made by an earlier version, or if predictions depend
    on earlier rows.
    """
    accepted = run.model.contract.input
    names, cells = read_test_rows(run)
    keys = [stored.keys[row] for row in stored.worst_first[:N_ROWS]]
    rows = [dict(zip(names, cells[key], strict=True)) for key in keys if key in cells]
    if not rows or accepted.kind != "table" or accepted.order is not None:
        return []
    if len(accepted.names) > MAX_COLUMNS:
        return []
    try:
        explained = run.model.explain(rows)
    except TenfoldError:  # a run of an earlier version has no rows to compare with
        return []
    return [_reason(key, why, row) for key, why, row in zip(keys, explained, rows, strict=True)]


def _reason(key: str, why: Explanation, row: dict[str, str]) -> Reason:
    errors = [None] * len(why.columns) if why.errors is None else why.errors.tolist()
    values = zip(why.columns, why.contributions.tolist(), errors, strict=True)
    parts = [ColumnPart(name, row.get(name, ""), value, error) for name, value, error in values]
    parts.sort(key=lambda part: -abs(part.contribution))
    others = parts[N_COLUMNS:]
    rest = sum(part.contribution for part in others) if others else None
    return Reason(key, why, parts[:N_COLUMNS], rest)
