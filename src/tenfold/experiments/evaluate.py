"""`evaluate` and `robustness` measure a finished run. They do not change it."""

from pathlib import Path

import numpy as np

from tenfold.core import files
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation import AnyEvaluation
from tenfold.evaluation.robustness import Robustness, measure_robustness
from tenfold.experiments.artifacts import measure
from tenfold.experiments.run_data import check_same_data, data_of, split_of
from tenfold.runs.record import Run


@files.os_errors()
def evaluate(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    listener: Listener | None = None,
) -> AnyEvaluation:
    """Measure a run's model again, or on other data. The run folder is not changed.

    Args:
      run: A run or its folder.
      data: A dataset, its name, or its files; by default the run's own data. The run's own data are
        measured on the run's test rows, other data on their official test set or, without one, on
        all rows. A folder of pictures is read in the form that the model takes; some labels may be
        missing.
      listener: It receives warnings about files that were left out.

    Raises:
      DataError: The model does not know some labels or images, or the run's own data changed.
      RunError: There is no run, or it has no model.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = measured_rows(run, data, listener or Listener())
    evaluation, _ = measure(run.model, dataset, rows, part, run.record)
    is_own = dataset.fingerprint == run.record.data.fingerprint
    return run.with_doubts(evaluation, is_own=is_own)


def load_for(
    run: Run, data: str | Path | Dataset | None = None, *, listener: Listener | None = None
) -> Dataset:
    """Read the data that `evaluate` and `robustness` take, once for both.

    The listener receives warnings about files that were left out.

    Raises:
      DataError, FormatError, FileError: As for `load`, or the run's own data changed.
    """
    dataset = data_of(run.record, data, None if data is None else run.model.contract)
    if data is None:
        check_same_data(dataset, run.record)
    if dataset is not data and dataset.pictures:
        for kind, text in dataset.pictures.remarks:
            if kind not in ("resized", "shortcut", "streamed"):
                (listener or Listener()).warn(text)
    return dataset


@files.os_errors()
def robustness(run: Run | Path | str, data: str | Path | Dataset | None = None) -> Robustness:
    """Measure a run's model on altered rows: shifted, rotated or noisy pictures, or tables without
    a column.

    Args:
      run: A run or its folder.
      data: As in `evaluate`.

    Raises:
      DataError, RunError: As for `evaluate`.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = measured_rows(run, data, Listener())
    return measure_robustness(run.model, dataset.x[rows], dataset.y[rows], part)


def measured_rows(
    run: Run, data: str | Path | Dataset | None, listener: Listener | None = None
) -> tuple[Dataset, RowNumbers, str]:
    """Return the rows on which a run is measured, in codes of its model, and their name."""
    record, model = run.record, run.model
    dataset = load_for(run, data, listener=listener)
    is_own = dataset.fingerprint == record.data.fingerprint
    if dataset.labels and set(dataset.labels) <= set(model.labels):
        dataset = dataset.relabelled(model.labels)  # some labels may be missing
    if dataset.labels != model.labels:
        raise DataError(
            "E416",
            "The data have labels that the model does not know",
            where=dataset.name,
            expected=", ".join(model.labels) or "a target of numbers",
            labels=dataset.labels,
        )
    part, rows = "all", np.arange(len(dataset))
    if is_own:
        part, rows = "test", split_of(dataset, record.config).test
    elif dataset.test_rows.size:
        part, rows = "test", dataset.test_rows
    return dataset.seen_as(model.contract.input), rows, part
