"""`train`, `resume`, `evaluate`, `predict`, `read`: one function call each, of all above."""

import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold import report
from tenfold.build.build import export, fit, positive_label, prepare
from tenfold.core import files
from tenfold.core.contract import Contract
from tenfold.core.errors import DataError, FileError, RunError
from tenfold.core.progress import Listeners, OnEpochs, Watcher
from tenfold.core.settings import Reading, Settings, resolve
from tenfold.data.audit import audit_data
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.load import load
from tenfold.data.split import Split
from tenfold.data.split import split as split_data
from tenfold.evaluation import AnyEvaluation
from tenfold.evaluation.robustness import Robustness, measure_robustness
from tenfold.experiments.artifacts import measure, write_evidence
from tenfold.experiments.cross_validation import cross_validate, write_folds
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.inputs.tables.columns import Table
from tenfold.learners import LEARNERS, check_learner, check_used
from tenfold.learners.architectures import import_all
from tenfold.learners.checkpoints import Checkpoints
from tenfold.learners.training import check_compiler
from tenfold.model.model import Model
from tenfold.model.predictions import Answers
from tenfold.model.transcript import Transcript, transcribe
from tenfold.runs import csv_files
from tenfold.runs.record import DataRecord, Record, Run, count_opening

if TYPE_CHECKING:
    import pandas as pd

AFTER_TRAINING = (
    "onnx",
    "scipy.optimize",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)
"""What export, evaluation and report import."""

PACKAGES = (
    "tenfold", "jax", "keras", "numpy", "onnx", "onnxruntime", "pandas", "scikit-learn"
)  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while a run was made; what was finished is in `run`."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Interrupted: {run.path}")
        self.run = run


def train(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    target: str | int | None = None,
    learner: str = "network",
    recipe: str = "default",
    hidden: Sequence[int] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    test_size: float | None = None,
    reading: Reading | None = None,
    out: Path | str = "runs",
    watcher: Watcher | None = None,
    **others: Any,
) -> Run:
    """Train, export, measure and report: one run folder.

    Args:
      data: A dataset, the name of one, its file or folder (see `tenfold.load`), or a pandas frame.
      target: Of a table the column that is predicted, by name or by position.
      learner: One of `tenfold.learners.LEARNERS`: `network`, `forest`, `logistic`, ...
      recipe: `default`, `fast`, `long`, `accurate`, or `tutorial` for the tutorial's settings.
      hidden: Neurons of each hidden layer, first to last.
      epochs: Times each training row is seen.
      batch_size: Rows per step.
      learning_rate: Step size at the start.
      seed: Decides split, first weights and order of the rows.
      test_size: Share of the training part to test on instead of the official test part.
      reading: What else is said about a table: task, kinds of columns, order of time, ...
      out: Where run folders are made; this one takes the next free number.
      watcher: Sees stages and epochs as they happen.
      **others: Any other setting of `tenfold.core.settings.Settings`.

    Returns:
      The finished run: `run.evaluation`, `run.model`, `run.path`.

    Raises:
      SettingsError: Settings outside their rule.
      DataError: Unknown dataset, or too few examples for the parts.
      BackendError: JAX's compiler computes wrongly here; no folder is made.
      ExportError: The graph does not answer like the learner.
      FileError: The folder cannot be written or the disk is full.
      Interrupted: Ctrl-C; a KeyboardInterrupt that knows its run.
    """
    given = dict(
        hidden=hidden, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        seed=seed, test_size=test_size, **others,
    )  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    asked |= {"learner": learner, "recipe": recipe}
    resolve(asked)  # bad settings are said before anything is read
    check_used(asked, [learner])
    clock = _Clock(watcher or Watcher())
    with clock.stage("load"):
        dataset = data if isinstance(data, Dataset) else load(data, target=target, reading=reading)
        settings = resolve(asked, table=isinstance(dataset.x, Table))
        check_learner(settings, dataset.task, dataset.input)
        audit = audit_data(dataset)
        clock.watcher.audit(audit)
        split = split_of(dataset, settings)
        positive_label(dataset, split.train, settings)  # refused now rather than after the fit
        record = record_of(dataset, split, settings, asked)
    _check_ready(settings, clock)
    run = Run.create(out, f"{Path(dataset.name).resolve().stem}-{settings.learner}", record)
    with files.locked(run.path, wait=False):
        files.write_text(run.path / "audit.json", audit.model_dump_json(indent=2) + "\n")
        _complete(run, dataset, split, settings, clock)
    return run


def resume(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    watcher: Watcher | None = None,
) -> Run:
    """Go on with a run that was interrupted, killed or failed; its model is the same as without.

    Args:
      run: A run or its folder; it may have been moved.
      data: The run's data; found by its name when absent.
      watcher: Sees stages and epochs as they happen.

    Returns:
      The finished run.

    Raises:
      RunError: No run, or it is finished.
      DataError: Other data than the run's.
      BackendError: JAX's compiler computes wrongly here; the run stays as it was.
      FileError: Another process works on the run, or what `train` says.
      Interrupted: Ctrl-C; a KeyboardInterrupt that knows its run.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    with files.locked(run.path, wait=False):
        run = Run.open(run.path)  # nobody changes it any more
        record = run.record
        if record.state == "finished":
            fix = "Train again without --resume for another run"
            raise RunError("E816", "The run is finished already", where=run.path, fix=fix)
        clock = _Clock(watcher or Watcher())
        settings = Settings.model_validate(record.config)
        with clock.stage("load"):
            dataset = _data_of(record, data)
            _check_same_data(dataset, record)
            split = split_of(dataset, settings)
        _check_ready(settings, clock)
        if record.versions != (now := _versions()):
            changed = {n: (v, now.get(n)) for n, v in record.versions.items() if now.get(n) != v}
            clock.watcher.warn(f"other versions than the run began with: {changed}: not bit-exact.")
        record.state, record.error, record.versions = "running", None, now
        run.sweep()
        run.save()
        _complete(run, dataset, split, settings, clock)
    return run


def _check_ready(settings: Settings, clock: "_Clock") -> None:
    """Look before a run folder is made or changed whether a network can be trained here at all."""
    if LEARNERS[settings.learner].epochs:
        with clock.counted("train"):  # JAX and Keras start here
            check_compiler()


def _data_of(
    record: Record, data: str | Path | Dataset | None, like: Contract | None = None
) -> Dataset:
    """The given data, or else the run's own, read as they were."""
    if isinstance(data, Dataset):
        return data
    stored = record.data
    source = data if data is not None else stored.source or stored.name
    return load(source, reading=stored.reading, like=like)


def _check_same_data(data: Dataset, record: Record) -> None:
    if data.fingerprint != record.data.fingerprint:
        raise DataError(
            "E815",
            "The data changed since the run",
            where=record.data.name,
            expected=f"fingerprint {record.data.fingerprint}",
            fingerprint=data.fingerprint,
        )


def _complete(run: Run, data: Dataset, split: Split, settings: Settings, clock: "_Clock") -> None:
    """Make the run, and whatever happens write down how it ended."""
    run.record.seconds = clock.seconds
    try:
        _make(run, data, split, settings, clock)
    except KeyboardInterrupt:
        run.finish("interrupted")
        raise Interrupted(run) from None
    except BaseException as error:
        run.record.error = str(error)
        with suppress(FileError):  # a full disk must not hide what went wrong
            run.finish("failed")
        raise


def evaluate(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    watcher: Watcher | None = None,
) -> AnyEvaluation:
    """Measure a run's model again, or on other data. The run folder stays as it is.

    Args:
      run: A run or its folder.
      data: A dataset, the name of one, or its files; the run's own when absent. The run's own
        data are measured on the run's test rows, other data on their official test part or on all.
        A folder of pictures per label is seen as the model sees pictures; some labels may be
        missing.
      watcher: Is warned of files that were left out.

    Raises:
      DataError: Labels or images the model does not know, or the run's own data has changed.
      RunError: No run, or no model in it.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = _measured_rows(run, data, watcher or Watcher())
    recall = float(run.record.config["recall"])
    return measure(run.model, dataset, rows, part, run.record.data, recall)[0]


def load_for(
    run: Run, data: str | Path | Dataset | None = None, *, watcher: Watcher | None = None
) -> Dataset:
    """The data that `evaluate` and `robustness` take, to be read once for both.

    Args:
      run: The run to be measured.
      data: As `evaluate` takes it; a dataset comes back as it is.
      watcher: Is warned of files that were left out while reading.

    Raises:
      DataError, FormatError, FileError: What `load` says, or the run's own data has changed.
    """
    dataset = _data_of(run.record, data, None if data is None else run.model.contract)
    if data is None:
        _check_same_data(dataset, run.record)
    if dataset is not data and dataset.pictures:
        for kind, text in dataset.pictures.remarks:
            if kind not in ("resized", "streamed"):
                (watcher or Watcher()).warn(text)
    return dataset


def robustness(run: Run | Path | str, data: str | Path | Dataset | None = None) -> Robustness:
    """Measure a run's model on changed rows: moved, turned, noisy, or without a column.

    Args:
      run: A run or its folder.
      data: As `evaluate` takes it.

    Raises:
      DataError, RunError: What `evaluate` says.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = _measured_rows(run, data, Watcher())
    return measure_robustness(run.model, dataset.x[rows], dataset.y[rows], part)


def _measured_rows(
    run: Run, data: str | Path | Dataset | None, watcher: Watcher
) -> tuple[Dataset, RowNumbers, str]:
    """The rows a run is measured on, in codes of its model, and what they are called."""
    record, model = run.record, run.model
    settings = Settings.model_validate(record.config)
    dataset = load_for(run, data, watcher=watcher)
    own = dataset.fingerprint == record.data.fingerprint
    if dataset.labels and set(dataset.labels) <= set(model.labels):
        dataset = dataset.relabelled(model.labels)  # some labels may not occur in it
    if dataset.labels != model.labels:
        raise DataError(
            "E416",
            "Other labels than the model's",
            where=dataset.name,
            expected=", ".join(model.labels) or "a target of numbers",
            labels=dataset.labels,
        )
    part, rows = "all", np.arange(len(dataset))
    if own:
        part, rows = "test", split_of(dataset, settings).test
    elif dataset.test_rows.size:
        part, rows = "test", dataset.test_rows
    return dataset, rows, part


def predict(run: Run | Path | str, inputs: Any) -> Answers:
    """Answer one input or many with a run's model, or with a `model.onnx` by itself.

    A sequence with an answer for each input. See `tenfold.Model.predict` for what inputs may be.

    Raises:
      DataError, FormatError: Inputs that cannot be read or do not fit.
      ModelError, FileError: No model there that can be used.
    """
    model = run.model if isinstance(run, Run) else Model.open(run)
    return model.predict(inputs)


def read(
    run: Run | Model | Path | str,
    picture: Path | str | NDArray[Any],
    options: PictureOptions = DEFAULT_OPTIONS,
) -> Transcript:
    """Read a page of digits with a run's model, or with a `model.onnx` by itself.

    Args:
      run: A run, its folder, a model or its file.
      picture: A picture file, or a grey picture uint8 (height, width).
      options: How the file is read; `apply_exif` and `max_pixels` count here.

    Returns:
      The lines with their digits; `.text` is what stands there.

    Raises:
      DataError, FormatError: A picture that cannot be read, or a model of something else.
      ModelError, FileError: No model there that can be used.
    """
    if isinstance(run, Run):
        run = run.model
    model = run if isinstance(run, Model) else Model.open(run)
    return transcribe(model, picture, options)


def _make(run: Run, data: Dataset, split: Split, settings: Settings, clock: "_Clock") -> None:
    """Everything between an empty run folder and a finished one."""
    checkpoints = Checkpoints(run.path / "checkpoints")
    with clock.stage("train"):
        prepared = prepare(data, split, scaled=LEARNERS[settings.learner].scaled)
        history = csv_files.GrowingHistory(run.path / "history.csv")
        ahead = OnEpochs(lambda *_: _import_ahead())
        listeners = Listeners([ahead, OnEpochs(history.add), clock.watcher])
        fitted = fit(prepared, data, settings, listeners, checkpoints)
        run.record.parameters, run.record.note = fitted.parameters, fitted.note
        csv_files.write_history(run.path / "history.csv", fitted.history)
    with clock.stage("export"):
        content = export(fitted, prepared, data, split, settings)
        files.write_bytes(run.path / "model.onnx", content)
    if fitted.interrupted:
        raise KeyboardInterrupt
    if settings.folds:
        with clock.stage("folds"):
            found = cross_validate(data, split, settings, run.record.data, clock.watcher)
            write_folds(run.path / "folds.csv", found)
    with clock.stage("evaluate"):
        count_opening(run)
        write_evidence(run, data, split, robust=settings.robustness)
    with clock.stage("report"):
        notes = [fitted.note] if fitted.note else []
        run.record.peak_mb = _peak_mb()
        report.write_report(run, notes)
    clock.total()
    run.finish("finished")
    checkpoints.clear()


def split_of(data: Dataset, settings: Settings) -> Split:
    """Which rows are for what, by the settings of a run."""
    return split_data(
        data,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        test_size=settings.test_size,
        validation_size=settings.validation_size,
    )


def record_of(data: Dataset, split: Split, settings: Settings, asked: dict[str, Any]) -> Record:
    """`run.json` as a run begins with it."""
    config = settings.model_dump(mode="json")
    return Record(
        learner=settings.learner,
        recipe=settings.recipe,
        asked={name: config[name] for name in asked if name not in ("learner", "recipe")},
        config=config,
        data=DataRecord(
            name=data.name,
            fingerprint=data.fingerprint,
            n_train=len(split.train),
            n_validation=len(split.validation),
            n_test=len(split.test),
            n_dropped=len(split.dropped),
            source=data.source,
            reading=None if data.info is None else data.info.reading,
            target_mean=None if data.labels else float(data.y[split.train].mean()),
            positive=positive_label(data, split.train, settings),
        ),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | packages


@cache
def _import_ahead() -> None:
    """Import what comes after training while XLA computes: 0.5 s less of waiting afterwards."""
    Thread(target=import_all, args=(AFTER_TRAINING,)).start()


def _peak_mb() -> float | None:
    """The most memory this process has held, in 10^6 bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept * (1 if sys.platform == "darwin" else 1024) / 1e6  # getrusage(2): KiB on Linux


class _Clock:
    """Seconds per stage, told to the watcher as they begin."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.watcher.stage(name)
        with self.counted(name):
            yield

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Seconds that belong to a stage without being its beginning."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = round(self.seconds.get(name, 0) + spent, 3)

    def total(self) -> None:
        self.seconds["total"] = round(time.perf_counter() - self._start, 3)
