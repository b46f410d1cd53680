"""`train`, `evaluate` and `predict`: one function call each, composed of all rooms above."""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold import data as datasets
from tenfold import files, graph, report, runs
from tenfold.contract import Contract, ImageInput, Settings, resolve
from tenfold.data import Dataset, Rows, Split
from tenfold.errors import DataError, FileError, message
from tenfold.evaluation import Evaluation
from tenfold.learners import LEARNERS, Fitted, Watcher
from tenfold.model import Model, Prediction, Predictions
from tenfold.runs import Run
from tenfold.training import Examples

PACKAGES = ("tenfold", "jax", "keras", "numpy", "onnx", "onnxruntime")
MAX_COMPARED = 10_000
"""Rows on which graph and learner are compared at most; more take time and show nothing new."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while a run was made; what was finished is in `run`."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Interrupted: {run.path}")
        self.run = run


def train(
    data: str | Dataset = "mnist",
    *,
    learner: str = "network",
    recipe: str = "default",
    hidden: Sequence[int] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    test_size: float | None = None,
    out: Path | str = "runs",
    watcher: Watcher | None = None,
    **others: Any,
) -> Run:
    """Train, export, measure and report: one run folder.

    Args:
      data: A dataset or the name of one.
      learner: A name in `tenfold.learners.LEARNERS`.
      recipe: `default`, `fast`, or `tutorial` for the tutorial's settings of `network`.
      hidden: Neurons of each hidden layer, first to last.
      epochs: Times each training row is seen.
      batch_size: Rows per step.
      learning_rate: Step size at the start.
      seed: Decides split, first weights and order of the rows.
      test_size: Share of the training part to test on instead of the official test part.
      out: Where run folders are made; this one takes the next free number.
      watcher: Sees stages and epochs as they happen.
      **others: Any other setting of `tenfold.contract.Settings`.

    Returns:
      The finished run: `run.evaluation`, `run.model`, `run.path`.

    Raises:
      SettingsError: Settings outside their rule.
      DataError: Unknown dataset, or too few examples for the parts.
      ExportError: The graph does not answer like the learner.
      FileError: The folder cannot be written or the disk is full.
      Interrupted: Ctrl-C; a KeyboardInterrupt that knows its run.
    """
    given = dict(
        hidden=hidden, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        seed=seed, test_size=test_size, **others,
    )  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    settings = resolve({"learner": learner, "recipe": recipe, **asked})
    clock = _Clock(watcher or Watcher())
    with clock.stage("load"):
        dataset = datasets.load(data) if isinstance(data, str) else data
        split = _split(dataset, settings)
        record = _record(dataset, split, settings, asked)
    run = Run.create(out, f"{dataset.name}-{settings.learner}", record)
    run.record.seconds = clock.seconds
    try:
        _make(run, dataset, split, settings, clock)
    except KeyboardInterrupt:
        run.finish("interrupted")
        raise Interrupted(run) from None
    except BaseException as error:
        run.record.error = str(error)
        with suppress(FileError):  # a full disk must not hide what went wrong
            run.finish("failed")
        raise
    return run


def evaluate(run: Run | Path | str, data: str | Dataset | None = None) -> Evaluation:
    """Measure a run's model again, or on other data. The run folder stays as it is.

    Args:
      run: A run or its folder.
      data: A dataset or the name of one; the run's own when absent. The run's own data are
        measured on the run's test rows, other data on their official test part or on all rows.

    Raises:
      DataError: Labels or images the model does not know, or the run's own data has changed.
      RunError: No run, or no model in it.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    stored = run.record.data
    dataset = data if isinstance(data, Dataset) else datasets.load(data or stored.name)
    own = dataset.fingerprint == stored.fingerprint
    if data is None and not own:
        raise DataError(
            message(
                "The data changed since the run",
                where=stored.name,
                expected=f"fingerprint {stored.fingerprint}",
                fingerprint=dataset.fingerprint,
            )
        )
    if dataset.labels != run.model.labels:
        raise DataError(
            message(
                "Other labels than the model's",
                where=dataset.name,
                expected=", ".join(run.model.labels),
                labels=dataset.labels,
            )
        )
    part, rows = "all", np.arange(len(dataset))
    if own:
        part, rows = "test", _split(dataset, Settings.model_validate(run.record.config)).test
    elif dataset.test_rows.size:
        part, rows = "test", dataset.test_rows
    return _measure(run.model, dataset, rows, part)[0]


def predict(run: Run | Path | str, inputs: NDArray[Any] | Path | str) -> Prediction | Predictions:
    """Answer one input or many with a run's model, or with a `model.onnx` by itself.

    Raises:
      DataError, FormatError: Inputs that cannot be read or do not fit.
      ModelError, FileError: No model there that can be used.
    """
    model = run.model if isinstance(run, Run) else Model.open(run)
    return model.predict(inputs)


def _make(run: Run, data: Dataset, split: Split, settings: Settings, clock: "_Clock") -> None:
    """Everything between an empty run folder and a finished one."""
    with clock.stage("train"):
        fitted = LEARNERS[settings.learner].fit(
            Examples(data.x[split.train], data.y[split.train]),
            Examples(data.x[split.validation], data.y[split.validation])
            if split.validation.size
            else None,
            n_labels=len(data.labels),
            settings=settings,
            watcher=clock.watcher,
        )
        run.record.parameters = fitted.parameters
        runs.write_history(run.path / "history.csv", fitted.history)
    with clock.stage("export"):
        seen = split.validation if split.validation.size else split.train
        files.write_bytes(run.path / "model.onnx", export(fitted, data, seen))
    if fitted.interrupted:
        raise KeyboardInterrupt
    with clock.stage("evaluate"):
        runs.count_opening(run)
        evaluation, predictions = _measure(run.model, data, split.test, "test")
        files.write_text(run.path / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
        keys, true = _names(data, split.test)
        runs.write_predictions(run.path / "predictions.csv", keys, true, predictions)
        _, first = np.unique(data.y[seen], return_index=True)
        examples = seen[first]  # one of each label, none of them a test row
        runs.write_examples(run, *_names(data, examples), _answer(run.model, data.x[examples]))
    with clock.stage("report"):
        report.draw_confusion(evaluation, run.path / "confusion_matrix.png")
        report.draw_history(run.history, run.path / "history.png")
        report.write_report(run)
    clock.total()
    run.finish("finished")


def export(fitted: Fitted, data: Dataset, rows: Rows) -> bytes:
    """The model file of a fitted learner, refused unless it answers `rows` like the learner.

    Raises:
      ExportError: It does not.
    """
    height, width = data.x.shape[1:]
    contract = Contract(
        input=ImageInput(height=height, width=width),
        labels=data.labels,
        learner=fitted.learner,
        tenfold=metadata.version("tenfold"),
        rows_at_once=fitted.rows_at_once,
    )
    content = graph.to_graph(fitted, contract)
    rows = rows[:MAX_COMPARED]
    answered = Model(content).probabilities(data.x[rows])
    graph.check_agreement(fitted.answers(data.x[rows]), answered, [data.keys[row] for row in rows])
    return content


def _measure(model: Model, data: Dataset, rows: Rows, part: str) -> tuple[Evaluation, Predictions]:
    predictions = _answer(model, data.x[rows])
    evaluation = Evaluation.of(
        data.y[rows], predictions.probabilities, data.labels, data=data.name, part=part
    )
    return evaluation, predictions


def _answer(model: Model, x: NDArray[np.uint8]) -> Predictions:
    return Predictions(x, model.probabilities(x), model.labels)


def _names(data: Dataset, rows: Rows) -> tuple[list[str], list[str]]:
    """Keys and true labels of rows, as they are written down."""
    return [data.keys[row] for row in rows], [data.labels[code] for code in data.y[rows]]


def _split(data: Dataset, settings: Settings) -> Split:
    return datasets.split(
        data,
        seed=settings.seed,
        test_size=settings.test_size,
        validation_size=settings.validation_size,
    )


def _record(data: Dataset, split: Split, settings: Settings, asked: dict[str, Any]) -> runs.Record:
    config = settings.model_dump(mode="json")
    return runs.Record(
        learner=settings.learner,
        recipe=settings.recipe,
        asked={name: config[name] for name in asked},
        config=config,
        data=runs.DataRecord(
            name=data.name,
            fingerprint=data.fingerprint,
            n_train=len(split.train),
            n_validation=len(split.validation),
            n_test=len(split.test),
            n_dropped=len(split.dropped),
        ),
        versions={"python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
    )


class _Clock:
    """Seconds per stage, told to the watcher as they begin."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        self.watcher.stage(name)
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)

    def total(self) -> None:
        self.seconds["total"] = round(time.perf_counter() - self._start, 3)
