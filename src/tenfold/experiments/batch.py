"""Measure a run's model on groups of rows: where it makes more errors, and which rows differ from
the training rows."""

from pathlib import Path

from tenfold.core import files
from tenfold.data.dataset import Dataset
from tenfold.evaluation.by_column import ByColumn, by_column
from tenfold.evaluation.unlike import Unlike, unlike_rows
from tenfold.experiments.evaluate import measured_rows
from tenfold.runs.record import Run


@files.os_errors()
def scores_by(
    run: Run | Path | str, column: str, data: str | Path | Dataset | None = None
) -> ByColumn:
    """Measure a run's model by the values of any column of its table, even one that it did not
    learn from.

    Args:
      run: A run or its folder.
      column: The name of the column.
      data: As in `evaluate`.

    Raises:
      DataError: There is no such column, or an error of `evaluate`.
      RunError: As for `evaluate`.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, _ = measured_rows(run, data)
    values = dataset.cells_of(column)[rows]
    scores = run.model.answer(dataset.x[rows]).row_scores(dataset.y[rows])
    groups = None if dataset.groups is None else dataset.groups[rows]
    return by_column(column, values, scores, dataset.y[rows], run.model.task.kind, groups)


@files.os_errors()
def unlike_training(run: Run, data: Dataset) -> list[Unlike]:
    """Describe how other rows differ from the training rows: how many rows are novel, and which
    columns have another distribution. The errors are those of `evaluate`."""
    dataset, rows, _ = measured_rows(run, data)
    if dataset.fingerprint == run.record.data.fingerprint:
        return []
    x = dataset.x[rows]
    groups = None if dataset.groups is None else dataset.groups[rows]
    return list(unlike_rows(run.model, run.path, x, run.model.answer(x), groups))
