"""Comparisons of groups of rows: where a model errs more, and what differs from the training."""

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
"""Minimum number of rows on both sides; maximum number of new rows; and the p value, after Holm's
correction, below which a column counts as different."""


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
    return by_column(column, values, scores, dataset.y[rows], run.model.task.kind)


@files.os_errors()
def unlike_training(run: Run, data: Dataset) -> list[str]:
    """Describe how other rows differ from the training rows, one line each: how many rows are
    novel, and which columns have another distribution. The errors are those of `evaluate`."""
    dataset, rows, _ = measured_rows(run, data)
    if dataset.fingerprint == run.record.data.fingerprint:
        return []
    return list(_differences(run, dataset, rows))


def _differences(run: Run, data: Dataset, rows: RowNumbers) -> Iterator[str]:
    """Describe how these rows of a table differ from the training rows, one sentence each.

    Each column except texts is compared with the 100 training rows that the run keeps, so that only
    clear differences are found.
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
    has_scipy = find_spec("scipy") is not None  # tenfold-slim has no SciPy, so it skips categories
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
        yield f"shifted columns    {shorten(differ)}: another distribution than in training"
