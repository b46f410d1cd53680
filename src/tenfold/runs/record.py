"""The run folder: what was asked, the model, the evidence. Created, read and verified here."""

import csv
import io
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from tenfold.core import files, html_repr
from tenfold.core.csv_cells import as_written, harmless, number_text, write_csv
from tenfold.core.errors import RunError, message
from tenfold.core.records import Epoch
from tenfold.core.settings import Reading
from tenfold.evaluation import AnyEvaluation, read_evaluation
from tenfold.inputs.idx import write_idx
from tenfold.inputs.tables.columns import Table, as_cells
from tenfold.model.model import Estimates, Model, Predictions

EXAMPLE_INPUTS = "examples/inputs.idx"
EXAMPLE_ROWS = "examples/inputs.csv"
EXAMPLE_ANSWERS = "examples/answers.csv"
TEST_ROWS = "test_rows.csv"
"""Cells of test rows of a table, for the report: the rows a reader asks for first."""

MAX_CELL_BYTES = 1 << 20
"""Text of these rows, at most: the report is to be mailed."""

ANSWER_TOLERANCE = 1e-4
"""How far a stored answer may move on another machine, whose products round differently."""


class DataRecord(BaseModel):
    """Which data a run saw, and how many rows of it for what.

    Attributes:
      n_dropped: Training rows left out because their image stands in the test part.
      source: The file or folder; None for data by name or from memory.
      reading: How a table was asked to be read.
      target_mean: Of the training rows, for regression: its baseline.
      positive: Of two labels the one that is looked for.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    fingerprint: str
    n_train: int
    n_validation: int
    n_test: int
    n_dropped: int = 0
    source: str | None = None
    reading: Reading | None = None
    target_mean: float | None = None
    positive: str | None = None


class Record(BaseModel):
    """`run.json`: what was asked for, what it resolved to, and what came of it.

    Attributes:
      asked: Settings given by the user; `config` is all of them, resolved.
      test_opened: How many models of this folder of runs were measured on the test rows of this
        data, this one included; 0 while it has not been.
      seconds: Wall time per stage, `total` the whole.
      peak_mb: The most memory the process that made it has held, in 10^6 bytes; None where the
        platform does not say.
      note: What the learner says of its fit.
      threads: Of a trial of a sweep; None: as many as the computer has cores.
      files: SHA-256 of every other file of the run.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    state: Literal["running", "finished", "interrupted", "failed", "stopped"] = "running"
    learner: str
    recipe: str
    asked: dict[str, Any]
    config: dict[str, Any]
    data: DataRecord
    parameters: int | None = None
    seconds: dict[str, float] = {}
    peak_mb: float | None = None
    test_opened: int = 0
    versions: dict[str, str]
    files: dict[str, str] = {}
    error: str | None = None
    note: str | None = None
    threads: int | None = None


class Run:
    """A run folder.

    Attributes:
      path: The folder.
      record: Its `run.json`.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(cls, out: Path | str, stem: str, record: Record) -> "Run":
        """Make the next free folder `out/stem-N` and write `run.json` there.

        Raises:
          FileError: The folder cannot be made or written.
        """
        out = Path(out)
        with files.os_errors("create", out):
            out.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                path = out / f"{stem}-{number}"
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
        run = cls(path, record)
        run.save()
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder.

        Raises:
          RunError: No run folder, or its `run.json` is damaged.
        """
        path = Path(path)
        file = path / "run.json"
        with files.os_errors("open", path):
            exists = file.is_file()
        if not exists:
            raise RunError(
                message("No run", where=path, expected="a folder that `tenfold train` made")
            )
        try:
            return cls(path, Record.model_validate_json(file.read_bytes()))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError(message("Damaged run.json", where=file, problem=problem)) from error

    @cached_property
    def model(self) -> Model:
        """The run's model, ready to predict.

        Raises:
          RunError: There is none: the run failed or was interrupted before.
        """
        return Model.open(self._existing("model.onnx"))

    @cached_property
    def evaluation(self) -> AnyEvaluation:
        """Every number of the report.

        Raises:
          RunError: The run was not evaluated, or the file is damaged.
        """
        file = self._existing("evaluation.json")
        try:
            return read_evaluation(file.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError(message("Damaged evaluation", where=file, problem=problem)) from error

    @property
    def history(self) -> list[dict[str, float | None]]:
        """The rows of `history.csv`: one per finished epoch, None where a column is empty."""
        text = self._existing("history.csv").read_text("utf-8")
        return [
            {name: float(value) if value else None for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))
        ]

    def save(self) -> None:
        """Write `run.json`."""
        files.write_text(self.path / "run.json", self.record.model_dump_json(indent=2) + "\n")

    def finish(self, state: Literal["finished", "interrupted", "failed", "stopped"]) -> None:
        """Write the final state with the digest of every file."""
        self.record.state = state
        self.record.files = {name: files.sha256(self.path / name) for name in self._names()}
        self.save()

    def _names(self) -> list[str]:
        found = (path for path in self.path.rglob("*") if path.is_file())
        names = (path.relative_to(self.path).as_posix() for path in found)
        return sorted(
            name
            for name in names
            if name != "run.json" and ".tmp." not in name and not name.startswith("checkpoints/")
        )

    def sweep(self) -> None:
        """Remove the unfinished files of a process that was killed."""
        with files.os_errors("clean up", self.path):
            for path in self.path.rglob("*.tmp.*"):
                path.unlink()

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise RunError(
                message(f"The run has no {name}", where=self.path, state=self.record.state)
            )
        return path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.record.state})"

    def _repr_html_(self) -> str:
        record, path = self.record, self.path
        known = (path / "evaluation.json").is_file()
        rows = [
            ("state", record.state),
            ("data", f"{record.data.name}, {record.data.n_train:,} training rows"),
            ("learner", record.learner),
            ("test rows opened", record.test_opened),
            ("report", path / "report.html" if (path / "report.html").is_file() else "none"),
        ]
        parts = [html_repr.table((), rows)]
        if known:
            parts.append(self.evaluation._repr_html_())
        return html_repr.card(str(path), *parts)


def count_opening(run: Run, out: Path | None = None) -> None:
    """Count that the test rows are about to be opened: the n-th model measured on this data.

    The folder of runs is locked meanwhile, so two runs that end together get two numbers.

    Args:
      run: Whose model is measured.
      out: The folder of runs; None: the one that the run stands in.
    """
    if run.record.test_opened:
        return  # a resumed run: the same model is measured once more
    out = run.path.parent if out is None else out
    with files.locked(out):
        run.record.test_opened = 1 + most_opened(out, run.record.data.fingerprint)
        run.save()


class _Fingerprint(BaseModel):
    fingerprint: str


class _Opening(BaseModel):
    """What the record of a run, a sweep or a comparison says of test rows."""

    data: _Fingerprint
    test_opened: int = 0


def most_opened(out: Path, fingerprint: str) -> int:
    """How many models of a folder of runs were measured on the test rows of this data.

    Those of the sweeps and comparisons in it count too. Whoever adds to it locks the folder.
    """
    counts = [0]
    for name in ("run", "sweep", "comparison"):
        for file in out.glob(f"*/{name}.json"):
            # Damaged, of a later version, or another user's: it cannot be counted.
            with suppress(ValidationError, OSError):
                found = _Opening.model_validate_json(file.read_bytes())
                counts.append(found.test_opened * (found.data.fingerprint == fingerprint))
    return max(counts)


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
    columns = (
        "epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"
    )  # fmt: skip
    rows = ([number_text(getattr(epoch, name)) for name in columns] for epoch in history)
    write_csv(path, columns, rows)


def write_predictions(
    path: Path,
    keys: Sequence[str],
    true: Sequence[str],
    predictions: Predictions,
) -> None:
    """Write one line per row, in the given order: what it was, what was answered, how surely.

    Keys and labels are written as `harmless` has them.
    """
    names = (f"p_{label}" for label in predictions.label_names)
    doubtful = predictions.unsure.tolist()
    answers = zip(keys, true, predictions.labels, predictions.confidence, doubtful, strict=True)
    rows = (
        [harmless(key), harmless(label), harmless(predicted), number_text(confidence),
         "true" if doubt else "false", *map(number_text, probabilities)]
        for (key, label, predicted, confidence, doubt), probabilities in zip(
            answers, predictions.probabilities.tolist(), strict=True
        )
    )  # fmt: skip
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
        [harmless(key), *map(number_text, four)] for key, *four in zip(keys, *numbers, strict=True)
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
        keys = [as_written(row[0]) for row in rows]
        if not labels:
            true, predicted = (np.array([float(row[i]) for row in rows]) for i in (1, 2))
            ends = [
                np.array([float(row[i]) for row in rows]) if rows and rows[0][i] else None
                for i in (3, 4)
            ]
            return StoredValues(keys, true, predicted, *ends)
        code = {harmless(label): i for i, label in enumerate(labels)}
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
        raise RunError(message("Damaged predictions", where=path, problem=str(error))) from error


def write_inputs(run: Run, x: NDArray[np.uint8] | Table) -> None:
    """Store examples as a file that `predict` reads, for `verify` to ask again."""
    with files.os_errors("create", run.path / "examples"):
        (run.path / "examples").mkdir(exist_ok=True)  # a resumed run may have it
    if isinstance(x, Table):
        cells = as_cells(x)
        rows = ([harmless(cell) for cell in row] for row in zip(*cells.values(), strict=True))
        write_csv(run.path / EXAMPLE_ROWS, [harmless(name) for name in cells], rows)
    else:
        write_idx(run.path / EXAMPLE_INPUTS, x)


def verify(path: Path | str) -> dict[str, int]:
    """Check a run folder: every file's digest against `run.json`, and the stored examples again.

    Returns:
      How much was checked: `files` and `examples`.

    Raises:
      RunError: Unfinished, or files are changed, missing or new, or an answer is another one.
    """
    run = Run.open(path)
    if run.record.state == "running":
        raise RunError(message("The run is not finished", where=run.path, state="running"))
    found = {name: files.sha256(run.path / name) for name in run._names()}
    stored = run.record.files
    wrong = [f"{name} missing" for name in stored.keys() - found.keys()]
    wrong += [f"{name} added" for name in found.keys() - stored.keys()]
    wrong += [
        f"{name} changed" for name in stored.keys() & found.keys() if stored[name] != found[name]
    ]
    if wrong:
        raise RunError(
            message(
                "The run was changed",
                where=run.path,
                expected="the files as run.json has them",
                files=", ".join(sorted(wrong)),
            )
        )
    n_examples = _answer_again(run) if EXAMPLE_ANSWERS in stored else 0
    return {"files": len(found), "examples": n_examples}


def _answer_again(run: Run) -> int:
    """Ask the model the stored examples; returns how many there are."""
    answers = run.model.predict(example_inputs(run.path))
    rows = list(csv.reader(io.StringIO((run.path / EXAMPLE_ANSWERS).read_text("utf-8"))))[1:]
    if isinstance(answers, Estimates):
        answered = answers.value[:, None].astype(float)
        stored = np.array([[float(row[2])] for row in rows])
        tolerance = ANSWER_TOLERANCE * max(float(np.abs(stored).max(initial=0)), 1e-30)
    elif isinstance(answers, Predictions):
        answered = answers.probabilities.astype(float)
        stored = np.array([[float(value) for value in row[5:]] for row in rows])
        tolerance = ANSWER_TOLERANCE
    if stored.shape != answered.shape or np.abs(stored - answered).max() > tolerance:
        raise RunError(
            message(
                "The model answers differently from when it was made",
                where=run.path,
                expected=f"the answers of {EXAMPLE_ANSWERS} within {ANSWER_TOLERANCE:g}",
            )
        )
    return len(rows)


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
        kept.append([harmless(cell) for cell in row])
    write_csv(run.path / TEST_ROWS, ["key", *map(harmless, cells)], kept)


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
        (_, *names), *found = ([as_written(cell) for cell in row] for row in rows)
        if any(len(row) != len(names) + 1 for row in found):
            raise ValueError(f"{len(names) + 1} cells in each row expected")
    except (ValueError, csv.Error) as error:
        raise RunError(message("Damaged test rows", where=path, problem=str(error))) from error
    return names, {key: cells for key, *cells in found}


def example_inputs(folder: Path) -> list[dict[str, str]] | Path | None:
    """A run's stored examples, as `Model.predict` takes them; None where there are none."""
    if (folder / EXAMPLE_ROWS).exists():
        return _read_rows(folder / EXAMPLE_ROWS)
    return folder / EXAMPLE_INPUTS if (folder / EXAMPLE_INPUTS).exists() else None


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows that `write_inputs` wrote, cells as they were."""
    text = io.StringIO(path.read_text("utf-8"), newline="")
    names, *rows = ([as_written(cell) for cell in row] for row in csv.reader(text))
    return [dict(zip(names, row, strict=True)) for row in rows]
