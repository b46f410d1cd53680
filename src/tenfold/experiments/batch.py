"""Some rows beside others: for which a model errs more, and what is unlike the training."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tenfold.core import files
from tenfold.core.records import BACKGROUND
from tenfold.core.text import percent, shorten
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation.by_column import ByColumn, by_column
from tenfold.evaluation.checks import difference_p
from tenfold.evaluation.multiple import holm
from tenfold.experiments.evaluate import measured_rows
from tenfold.model.background import read_background
from tenfold.runs.record import Run

MIN_ROWS, COMPARED, LEVEL = 30, 5_000, 0.01
"""Rows on both sides, at least; of the new ones, at most; and the p value after Holm's correction
below which a column differs."""


@files.os_errors()
def scores_by(
    run: Run | Path | str, column: str, data: str | Path | Dataset | None = None
) -> ByColumn:
    """Measure a run's model by the values of any column of its table, also one that it did not
    learn from.

    Args:
      run: A run or its folder.
      column: The column's name.
      data: As `evaluate` takes it.

    Raises:
      DataError: There is no such column, or what `evaluate` says.
      RunError: What `evaluate` says.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, _ = measured_rows(run, data)
    values = dataset.cells_of(column)[rows]
    scores = run.model.answer(dataset.x[rows]).row_scores(dataset.y[rows])
    return by_column(column, values, scores, dataset.y[rows], run.model.task.kind)


@files.os_errors()
def unlike_training(run: Run, data: Dataset) -> list[str]:
    """What is unlike the training in other rows than the run's own, a line each: how many rows are
    novel, and which columns are distributed otherwise. Errors are those of `evaluate`."""
    dataset, rows, _ = measured_rows(run, data)
    if dataset.fingerprint == run.record.data.fingerprint:
        return []
    return list(_differences(run, dataset, rows))


def _differences(run: Run, data: Dataset, rows: RowNumbers) -> Iterator[str]:
    """What is unlike the training in these rows of a table, a sentence each.

    Each column but texts is compared with the training rows that the run keeps, 100 of them, so
    that only clear differences are seen.
    """
    accepted = run.model.contract.input
    if accepted.kind != "table" or accepted.order is not None or len(rows) < MIN_ROWS:
        return
    threshold = run.model.contract.novelty_threshold
    if run.model.labels and threshold is not None:
        novelty = run.model.answer(data.x[rows]).outputs[1]
        n_novel = int((novelty > threshold).sum())
        share = percent(n_novel / len(rows))
        yield f"novel              {n_novel:,} of {len(rows):,} rows ({share}) are unlike training"
    kept = read_background(run.path / BACKGROUND)
    if kept is None or len(kept) < MIN_ROWS:
        return
    known = run.model.reader.read(kept).rows
    few = np.sort(np.random.default_rng(0).permutation(rows)[:COMPARED])
    has_scipy = find_spec("scipy") is not None  # tenfold-slim goes without, and without categories
    compared = [
        column.name
        for column in accepted.columns
        if column.kind != "text" and (has_scipy or known.columns[column.name].dtype != object)
    ]
    p_values = [difference_p(known.columns[name], data.x.columns[name][few]) for name in compared]
    differ = [
        f"{name} (p {p:.1g})" for name, p in zip(compared, holm(p_values), strict=True) if p < LEVEL
    ]
    if differ:
        yield f"other than before  {shorten(differ)}: distributed otherwise than in training"
