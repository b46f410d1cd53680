"""The tables of a run: its history, predictions, test rows and stored examples."""

import csv
import io
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula, number_text, unescape_formula, write_csv
from tenfold.core.errors import RunError
from tenfold.core.records import Epoch
from tenfold.inputs.idx import write_idx
from tenfold.inputs.tables.columns import Table, as_cells
from tenfold.model.predictions import Predictions
from tenfold.runs.record import Run

EXAMPLE_INPUTS = "examples/inputs.idx"


EXAMPLE_ROWS = "examples/inputs.csv"


EXAMPLE_ANSWERS = "examples/answers.csv"


TEST_ROWS = "test_rows.csv"
"""Cells of test rows of a table, for the report: the rows a reader asks for first."""


MAX_CELL_BYTES = 1 << 20
"""Text of these rows, at most: the report is to be mailed."""


class GrowingHistory:
    """`history.csv` while it grows: always whole lines, written anew each time.

    A write takes milliseconds. Where epochs take less, several go into one, so that writing takes
    a tenth of the time at most; `write_history` at the end has them all in any case.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._epochs: list[Epoch] = []
        self._next_write = 0.0

    def add(self, *epochs: Epoch) -> None:
        """Append epochs."""
        self._epochs += epochs
        start = time.monotonic()
        if start >= self._next_write:
            write_history(self.path, self._epochs)
            done = time.monotonic()
            self._next_write = done + 9 * (done - start)


def write_history(path: Path, history: Iterable[Epoch]) -> None:
    """Write `history.csv`; validation columns are empty where there are no validation rows."""
    columns = ("epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    rows = ([number_text(getattr(epoch, name)) for name in columns] for epoch in history)
    write_csv(path, columns, rows)


def write_predictions(
    path: Path,
    keys: Sequence[str],
    true: Sequence[str],
    predictions: Predictions,
) -> None:
    """Write one line per row, in the given order: what it was, what was answered, how surely.

    Keys and labels are written as `escape_formula` has them.
    """
    names = (f"p_{label}" for label in predictions.classes)
    doubtful = predictions.unsure.tolist()
    answers = zip(keys, true, predictions.labels, predictions.confidence, doubtful, strict=True)
    rows = (
        [
            escape_formula(key),
            escape_formula(label),
            escape_formula(predicted),
            number_text(confidence),
            "true" if doubt else "false",
            *map(number_text, probabilities),
        ]
        for (key, label, predicted, confidence, doubt), probabilities in zip(
            answers, predictions.probabilities.tolist(), strict=True
        )
    )
    write_csv(path, ("key", "true", "predicted", "confidence", "unsure", *names), rows)


def write_values(
    path: Path,
    keys: Sequence[str],
    true: Iterable[float],
    value: Iterable[float],
    low: Iterable[float] | None = None,
    high: Iterable[float] | None = None,
) -> None:
    """Write `predictions.csv` of a regression, one line per row in the given order.

    `low` and `high` are empty where the model gives no intervals.
    """
    nothing = [None] * len(keys)
    numbers = (
        true,
        value,
        low if low is not None else nothing,
        high if high is not None else nothing,
    )
    rows = (
        [escape_formula(key), *map(number_text, four)]
        for key, *four in zip(keys, *numbers, strict=True)
    )
    write_csv(path, ("key", "true", "predicted", "low", "high"), rows)


class StoredLabels(NamedTuple):
    """`predictions.csv` of a model of labels: a line per row (n,), in the order of the data.

    `true` and `predicted` are codes of `labels`; `probabilities` is (n, n_labels).
    """

    keys: list[str]
    labels: tuple[str, ...]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    unsure: NDArray[np.bool]
    probabilities: NDArray[np.float64]


class StoredValues(NamedTuple):
    """`predictions.csv` of a regression (n,); `low` and `high` are None without intervals."""

    keys: list[str]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def read_predictions(run: Run) -> StoredLabels | StoredValues:
    """Read what a run answered to its test rows.

    Raises:
      RunError: It was not evaluated, or the file is damaged.
    """
    path = run._existing("predictions.csv")
    labels = run.evaluation.labels if run.evaluation.task == "classification" else ()
    with files.os_errors("read", path):
        text = path.read_text("utf-8")
    try:
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        keys = [unescape_formula(row[0]) for row in rows]
        if not labels:
            true, predicted = (np.array([float(row[i]) for row in rows]) for i in (1, 2))
            ends = [
                np.array([float(row[i]) for row in rows]) if rows and rows[0][i] else None
                for i in (3, 4)
            ]
            return StoredValues(keys, true, predicted, *ends)
        code = {escape_formula(label): i for i, label in enumerate(labels)}
        probabilities = np.array([[float(cell) for cell in row[5:]] for row in rows])
        if probabilities.shape != (len(rows), len(labels)):
            raise ValueError(f"{len(labels)} probabilities in each row expected")
        return StoredLabels(
            keys,
            labels,
            np.array([code[row[1]] for row in rows], np.int64),
            np.array([code[row[2]] for row in rows], np.int64),
            np.array([float(row[3]) for row in rows]),
            np.array([row[4] == "true" for row in rows]),
            probabilities,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise RunError("E703", "Damaged predictions", where=path, problem=str(error)) from error


def write_inputs(run: Run, x: NDArray[np.uint8] | Table) -> None:
    """Store examples as a file that `predict` reads, for `verify` to ask again."""
    with files.os_errors("create", run.path / "examples"):
        (run.path / "examples").mkdir(exist_ok=True)  # a resumed run may have it
    if isinstance(x, Table):
        cells = as_cells(x)
        rows = ([escape_formula(cell) for cell in row] for row in zip(*cells.values(), strict=True))
        write_csv(run.path / EXAMPLE_ROWS, [escape_formula(name) for name in cells], rows)
    else:
        write_idx(run.path / EXAMPLE_INPUTS, x)


def write_test_rows(run: Run, keys: Sequence[str], x: Table) -> None:
    """Write the cells of as many of these rows as 1 MiB holds, in their order, each with its key.

    Args:
      run: The run.
      keys: Of each row.
      x: The rows (n, ...).
    """
    cells = as_cells(x)
    kept: list[list[str]] = []
    n_bytes = 0
    for row in zip(keys, *cells.values(), strict=True):
        n_bytes += sum(map(len, row))
        if n_bytes > MAX_CELL_BYTES:
            break
        kept.append([escape_formula(cell) for cell in row])
    write_csv(run.path / TEST_ROWS, ["key", *map(escape_formula, cells)], kept)


def read_test_rows(run: Run) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the columns, and the cells of each key; empty where the run has none.

    Raises:
      RunError: The file is damaged.
    """
    path = run.path / TEST_ROWS
    if not path.is_file():
        return [], {}
    with files.os_errors("read", path):
        text = path.read_bytes()
    try:
        rows = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), strict=True)
        (_, *names), *found = ([unescape_formula(cell) for cell in row] for row in rows)
        if any(len(row) != len(names) + 1 for row in found):
            raise ValueError(f"{len(names) + 1} cells in each row expected")
    except (ValueError, csv.Error) as error:
        raise RunError("E704", "Damaged test rows", where=path, problem=str(error)) from error
    return names, {key: cells for key, *cells in found}


def example_inputs(folder: Path) -> list[dict[str, str]] | Path | None:
    """A run's stored examples, as `Model.predict` takes them; None where there are none."""
    if (folder / EXAMPLE_ROWS).exists():
        return _read_rows(folder / EXAMPLE_ROWS)
    return folder / EXAMPLE_INPUTS if (folder / EXAMPLE_INPUTS).exists() else None


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows that `write_inputs` wrote, cells as they were."""
    text = io.StringIO(path.read_text("utf-8"), newline="")
    names, *rows = ([unescape_formula(cell) for cell in row] for row in csv.reader(text))
    return [dict(zip(names, row, strict=True)) for row in rows]
