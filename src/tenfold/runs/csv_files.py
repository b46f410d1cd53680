"""The tables of a run: history, predictions, test rows and stored examples. Also the comparison of
two runs."""

import csv
import io
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula, number_text, unescape_formula, write_csv
from tenfold.core.errors import DataError, RunError
from tenfold.core.records import BACKGROUND, MAX_BACKGROUND, Candidate, Epoch, Fold
from tenfold.core.task import TaskKind
from tenfold.evaluation import Comparison, compare_labels, compare_values, some_rows
from tenfold.inputs.idx import write_idx
from tenfold.inputs.tables.columns import Table, as_cells
from tenfold.model.predictions import Predictions, Values
from tenfold.runs.record import HISTORY, Run

EXAMPLE_INPUTS = "examples/inputs.idx"
EXAMPLE_ROWS = "examples/inputs.csv"
EXAMPLE_ANSWERS = "examples/answers.csv"

TEST_ROWS = "test_rows.csv"
"""File with the cells of test rows of a table, in the order of the report."""

CANDIDATES = "candidates.csv"

MAX_CELL_BYTES = 1 << 20
"""Maximum size of its text, so that the report can be mailed."""


class GrowingHistory:
    """`history.csv` while it grows. It always has complete lines, and is written again each time.

    A write takes milliseconds. If epochs are shorter, several are written together, so that writing
    takes at most a tenth of the time. `write_history` writes all of them at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._epochs: list[Epoch] = []
        self._next_write = 0.0

    def add(self, *epochs: Epoch) -> None:
        self._epochs += epochs
        start = time.monotonic()
        if start >= self._next_write:
            write_history(self.path, self._epochs)
            done = time.monotonic()
            self._next_write = done + 9 * (done - start)


def write_history(path: Path, history: Iterable[Epoch]) -> None:
    """Write `history.csv`. Validation columns are empty if there are no validation rows."""
    rows = ([number_text(getattr(epoch, name)) for name in HISTORY] for epoch in history)
    write_csv(path, HISTORY, rows)


def write_candidates(path: Path, candidates: Iterable[Candidate]) -> None:
    """Write `candidates.csv`: the learners that `auto` tried, best first."""
    names = ("learner", "loss", "behind", "low", "high", "seconds", "weight")
    rows = (
        [one.learner, *(number_text(getattr(one, name)) for name in names[1:])]
        for one in candidates
    )
    write_csv(path, names, rows)


def write_folds(path: Path, folds: Sequence[Fold]) -> None:
    names = list(folds[0].scores)
    rows = (
        [str(fold.fold), str(fold.n_train), str(fold.n_held_out)]
        + [number_text(fold.scores[name]) for name in names]
        for fold in folds
    )
    write_csv(path, ("fold", "n_train", "n_held_out", *names), rows)


def _read_csv(path: Path) -> list[list[str]]:
    """Read the lines of a table written by Tenfold. Damage raises ValueError or csv.Error."""
    with files.os_errors("read", path):
        content = path.read_bytes()
    usual = csv.field_size_limit(max(1 << 17, len(content)))  # cells of Parquet may be longer
    try:
        return list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    finally:
        csv.field_size_limit(usual)


def _numbers(cells: Sequence[Any]) -> NDArray[np.float64]:
    """Convert cells of any shape to numbers. Raises ValueError unless all are finite numbers."""
    numbers = np.array(cells, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("finite numbers expected")
    return numbers


def _is_there(path: Path) -> bool:
    with files.os_errors("look for", path):
        return path.is_file()


def read_folds(path: Path) -> tuple[Fold, ...]:
    """Read the folds that `write_folds` wrote. Empty if there is no such file."""
    if not _is_there(path):
        return ()
    try:
        head, *rows = _read_csv(path)
        return tuple(
            Fold(
                fold=int(row[0]),
                n_train=int(row[1]),
                n_held_out=int(row[2]),
                scores={
                    name: float(cell) if cell else None
                    for name, cell in zip(head[3:], row[3:], strict=True)
                },
            )
            for row in rows
        )
    except (ValueError, IndexError, csv.Error) as error:
        raise RunError("E716", "folds.csv is damaged", where=path, problem=str(error)) from error


@dataclass(frozen=True, eq=False)
class StoredAnswers(ABC):
    """`predictions.csv`: truth and predictions, one line per row (n,), in the order of the data.

    Attributes:
      keys: The source of each row.
      true, predicted: Codes of labels, int64, or values, float64.
    """

    keys: Sequence[str]
    true: NDArray[Any]
    predicted: NDArray[Any]

    @classmethod
    @abstractmethod
    def of(cls, keys: Sequence[str], true: NDArray[Any], answers: Any) -> Self:
        """Combine the predictions of a model of this kind with keys and truth."""

    @classmethod
    @abstractmethod
    def of_cells(cls, rows: list[list[str]], labels: tuple[str, ...]) -> Self:
        """Parse the lines that `cells` wrote."""

    @property
    @abstractmethod
    def head(self) -> tuple[str, ...]:
        """The names of the columns."""

    @abstractmethod
    def cells(self) -> Iterator[list[str]]:
        """The cells of each line. `escape_formula` is applied to keys and labels."""

    @property
    @abstractmethod
    def worst_first(self) -> NDArray[np.int64]:
        """The rows in the order of the report."""

    @abstractmethod
    def distance(self, other: Self) -> float:
        """The largest difference from other predictions for the same rows, relative to their
        size."""

    @abstractmethod
    def compare(self, other: Self, rows: NDArray[np.int64], names: tuple[str, str]) -> Comparison:
        """Compare two named models on rows of these predictions and of the others (2, n)."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class StoredLabels(StoredAnswers):
    """Predictions of labels. `true` and `predicted` are codes of `labels`.

    `confidence` and `unsure` have shape (n,), and `probabilities` (n, n_labels).
    """

    labels: tuple[str, ...]
    confidence: NDArray[np.floating[Any]]
    unsure: NDArray[np.bool]
    probabilities: NDArray[np.floating[Any]]

    @classmethod
    def of(cls, keys: Sequence[str], true: NDArray[Any], answers: Predictions) -> Self:
        return cls(
            keys,
            true,
            answers.codes,
            answers.classes,
            answers.confidence,
            answers.unsure,
            answers.probabilities,
        )

    @classmethod
    def of_cells(cls, rows: list[list[str]], labels: tuple[str, ...]) -> Self:
        code = {escape_formula(label): i for i, label in enumerate(labels)}
        probabilities = _numbers([row[5:] for row in rows])
        if probabilities.shape != (len(rows), len(labels)):
            raise ValueError(f"{len(labels)} probabilities in each row expected")
        true, predicted = (np.array([code[row[i]] for row in rows], np.int64) for i in (1, 2))
        return cls(
            [unescape_formula(row[0]) for row in rows],
            true,
            predicted,
            labels,
            _numbers([row[3] for row in rows]),
            np.array([row[4] == "true" for row in rows]),
            probabilities,
        )

    @property
    def head(self) -> tuple[str, ...]:
        names = (f"p_{label}" for label in self.labels)
        return ("key", "true", "predicted", "confidence", "unsure", *names)

    def cells(self) -> Iterator[list[str]]:
        names = [escape_formula(label) for label in self.labels]
        columns = (self.true, self.predicted, self.confidence, self.unsure, self.probabilities)
        rows = zip(self.keys, *(column.tolist() for column in columns), strict=True)
        for key, true, predicted, confidence, unsure, probabilities in rows:
            answer = [names[predicted], number_text(confidence), "true" if unsure else "false"]
            yield [escape_formula(key), names[true], *answer, *map(number_text, probabilities)]

    @property
    def right(self) -> NDArray[np.bool]:
        right: NDArray[np.bool] = self.predicted == self.true
        return right

    @property
    def worst_first(self) -> NDArray[np.int64]:
        """Wrong predictions first, and among equals the most confident first."""
        order: NDArray[np.int64] = np.lexsort((-self.confidence, self.right))
        return order

    def distance(self, other: Self) -> float:
        return float(np.abs(self.probabilities - other.probabilities).max(initial=0))

    def compare(self, other: Self, rows: NDArray[np.int64], names: tuple[str, str]) -> Comparison:
        a, b = rows
        return compare_labels(
            self.true[a],
            (self.predicted[a], self.probabilities[a]),
            (other.predicted[b], other.probabilities[b]),
            names,
        )


@dataclass(frozen=True, eq=False)
class StoredValues(StoredAnswers):
    """Predictions of numbers. The ends of intervals are (n,), or None if the model has none."""

    low: NDArray[np.floating[Any]] | None
    high: NDArray[np.floating[Any]] | None

    @classmethod
    def of(cls, keys: Sequence[str], true: NDArray[Any], answers: Values) -> Self:
        return cls(keys, true, answers.value, *(answers.intervals or (None, None)))

    @classmethod
    def of_cells(cls, rows: list[list[str]], labels: tuple[str, ...]) -> Self:
        true, predicted = (_numbers([row[i] for row in rows]) for i in (1, 2))
        low, high = (
            _numbers([row[i] for row in rows]) if rows and rows[0][i] else None for i in (3, 4)
        )
        return cls([unescape_formula(row[0]) for row in rows], true, predicted, low, high)

    @property
    def head(self) -> tuple[str, ...]:
        return ("key", "true", "predicted", "low", "high")

    def cells(self) -> Iterator[list[str]]:
        columns = [
            [None] * len(self) if column is None else column.tolist()
            for column in (self.true, self.predicted, self.low, self.high)
        ]
        for key, *numbers in zip(self.keys, *columns, strict=True):
            yield [escape_formula(key), *map(number_text, numbers)]

    @property
    def worst_first(self) -> NDArray[np.int64]:
        """The largest errors first."""
        return np.argsort(-np.abs(self.predicted - self.true), kind="stable")

    def distance(self, other: Self) -> float:
        size = max(float(np.abs(self.predicted).max(initial=0)), 1e-30)
        return float(np.abs(self.predicted - other.predicted).max(initial=0)) / size

    def compare(self, other: Self, rows: NDArray[np.int64], names: tuple[str, str]) -> Comparison:
        a, b = rows
        return compare_values(self.true[a], self.predicted[a], other.predicted[b], names)


STORED: Mapping[TaskKind, type[StoredAnswers]] = {
    "classification": StoredLabels,
    "regression": StoredValues,
}


def write_answers(path: Path, stored: StoredAnswers) -> None:
    write_csv(path, stored.head, stored.cells())


def read_answers(path: Path, kind: TaskKind, labels: tuple[str, ...]) -> StoredAnswers:
    """Read what `write_answers` wrote. A damaged file raises `RunError`."""
    try:
        _, *rows = _read_csv(path)
        return STORED[kind].of_cells(rows, labels)
    except (ValueError, KeyError, IndexError, csv.Error) as error:
        raise RunError(
            "E703", "predictions.csv is damaged", where=path, problem=str(error)
        ) from error


def read_predictions(run: Run) -> StoredAnswers:
    """Read a run's predictions for its test rows."""
    path, evaluation = run._existing("predictions.csv"), run.evaluation
    return read_answers(path, evaluation.task, evaluation.labels)


def write_inputs(run: Run, x: NDArray[np.uint8] | Table) -> None:
    """Store examples as a file that `predict` reads, so that `verify` can predict them again."""
    with files.os_errors("create", run.path / "examples"):
        (run.path / "examples").mkdir(exist_ok=True)  # a resumed run may already have the file
    if isinstance(x, Table):
        _write_cells(run.path / EXAMPLE_ROWS, x)
    else:
        write_idx(run.path / EXAMPLE_INPUTS, x)


def _write_cells(path: Path, x: Table) -> None:
    cells = as_cells(x)
    rows = ([escape_formula(cell) for cell in row] for row in zip(*cells.values(), strict=True))
    write_csv(path, [escape_formula(name) for name in cells], rows)


def write_background(
    run: Run, x: Table, train: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> None:
    """Write some of the training rows `train` of a dataset. Explanations compare other rows with
    these."""
    _write_cells(run.path / BACKGROUND, x[some_rows(train, groups, MAX_BACKGROUND)])


def write_test_rows(run: Run, keys: Sequence[str], x: Table) -> None:
    """Write the cells of as many of these rows as fit into 1 MiB, each row with its key."""
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
    """Read the names of the columns and the cells of each key. Empty if the run has no such
    file."""
    path = run.path / TEST_ROWS
    if not _is_there(path):
        return [], {}
    try:
        (_, *names), *lines = _unescaped(path)
        if any(len(line) != len(names) + 1 for line in lines):
            raise ValueError(f"{len(names) + 1} cells in each row expected")
    except (ValueError, csv.Error) as error:
        raise RunError(
            "E704", "test_rows.csv is damaged", where=path, problem=str(error)
        ) from error
    return names, {key: cells for key, *cells in lines}


def example_inputs(folder: Path) -> list[dict[str, str]] | Path | None:
    """Return a run's stored examples as `Model.predict` takes them, or None if there are none.

    Raises:
      RunError: The file of rows is damaged.
    """
    path = folder / EXAMPLE_ROWS
    if not _is_there(path):
        return folder / EXAMPLE_INPUTS if _is_there(folder / EXAMPLE_INPUTS) else None
    try:
        names, *rows = _unescaped(path)
        return [dict(zip(names, row, strict=True)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(
            "E717", "The stored examples are damaged", where=path, problem=str(error)
        ) from error


def _unescaped(path: Path) -> list[list[str]]:
    """The cells of a table as they were before `escape_formula`."""
    return [[unescape_formula(cell) for cell in row] for row in _read_csv(path)]


@files.os_errors()
def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare two runs on the test rows that both have, to which neither was fitted.

    Raises:
      RunError: One of them was not evaluated.
      DataError: The runs are on different data, or have no test row in common.
    """
    if first.record.data.fingerprint != second.record.data.fingerprint:
        raise DataError(
            "E801",
            "The runs are on different data",
            expected="two runs on the same data",
            **{run.path.name: run.record.data.name for run in (first, second)},
        )
    names = (first.path.resolve().name, second.path.resolve().name)
    if names[0] == names[1]:
        names = (str(first.path), str(second.path))
    stored, others = read_predictions(first), read_predictions(second)
    row_of = {key: row for row, key in enumerate(others.keys)}
    pairs = [(row, row_of[key]) for row, key in enumerate(stored.keys) if key in row_of]
    if len(pairs) < 2:
        raise DataError(
            "E802",
            "The runs have too few test rows in common",
            where=" and ".join(names),
            expected="two or more that both were measured on",
            n_common=len(pairs),
        )
    return stored.compare(others, np.array(pairs).T, names)
