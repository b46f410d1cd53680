"""`train` and `resume`: one function call from data to a finished run folder."""

import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from tenfold import report
from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.errors import FileError, RunError
from tenfold.core.progress import Listener, Listeners, OnEpochs, StageClock
from tenfold.core.settings import Reading, Settings, resolve
from tenfold.data.audit import audit_data
from tenfold.data.dataset import Dataset
from tenfold.data.load import load
from tenfold.experiments.artifacts import write_evidence
from tenfold.experiments.cross_validation import cross_validate
from tenfold.experiments.evaluate import check_same_data, data_of, split_of
from tenfold.experiments.fit_run import clear_checkpoints, fit_run
from tenfold.learners import LEARNERS, check_learner, check_used
from tenfold.learners.jax_runtime import import_all
from tenfold.learners.training import check_compiler
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
    listener: Listener | None = None,
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
      listener: Sees stages and epochs as they happen.
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
    clock = StageClock()
    listener = Listeners([clock, listener or Listener()])
    listener.stage("load")
    dataset = data if isinstance(data, Dataset) else load(data, target=target, reading=reading)
    settings = resolve(asked, table=dataset.input.kind == "table")
    check_learner(settings, dataset.task.kind, dataset.input)
    audit = audit_data(dataset)
    listener.audit(audit)
    problem = Problem(dataset, split_of(dataset, settings), settings)
    record = record_of(problem, asked)
    clock.pause()
    _check_ready(settings, clock)
    run = Run.create(out, f"{Path(dataset.name).resolve().stem}-{settings.learner}", record)
    with files.locked(run.path, wait=False):
        files.write_text(run.path / "audit.json", audit.model_dump_json(indent=2) + "\n")
        _complete(run, problem, listener, clock)
    return run


def resume(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    listener: Listener | None = None,
) -> Run:
    """Go on with a run that was interrupted, killed or failed; its model is the same as without.

    Args:
      run: A run or its folder; it may have been moved.
      data: The run's data; found by its name when absent.
      listener: Sees stages and epochs as they happen.

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
        clock = StageClock()
        listener = Listeners([clock, listener or Listener()])
        settings = record.config
        listener.stage("load")
        dataset = data_of(record, data)
        check_same_data(dataset, record)
        problem = Problem(dataset, split_of(dataset, settings), settings)
        clock.pause()
        _check_ready(settings, clock)
        if record.versions != (now := _versions()):
            changed = {n: (v, now.get(n)) for n, v in record.versions.items() if now.get(n) != v}
            listener.warn(f"other versions than the run began with: {changed}: not bit-exact.")
        record.state, record.error, record.versions = "running", None, now
        run.sweep()
        run.save()
        _complete(run, problem, listener, clock)
    return run


def _check_ready(settings: Settings, clock: StageClock) -> None:
    """Look before a run folder is made or changed whether a network can be trained here at all."""
    if LEARNERS[settings.learner].epochs:
        clock.stage("train")  # JAX starts here
        check_compiler()
        clock.pause()


def _complete(run: Run, problem: Problem, listener: Listener, clock: StageClock) -> None:
    """Make the run, and whatever happens write down how it ended."""
    run.record.seconds = clock.seconds
    try:
        _make(run, problem, listener)
        clock.pause()
        clock.total()
        run.finish("finished")
        clear_checkpoints(run)
    except KeyboardInterrupt:
        clock.pause()
        run.finish("interrupted")
        raise Interrupted(run) from None
    except BaseException as error:
        clock.pause()
        run.record.error = str(error)
        with suppress(FileError):  # a full disk must not hide what went wrong
            run.finish("failed")
        raise


def _make(run: Run, problem: Problem, listener: Listener) -> None:
    """Everything between an empty run folder and a finished one."""
    settings = problem.settings
    fit_run(run, problem, Listeners([OnEpochs(lambda *_: _import_ahead()), listener]))
    if settings.folds:
        listener.stage("folds")
        folds = cross_validate(problem, run.record.data, listener)
        csv_files.write_folds(run.path / "folds.csv", folds)
    listener.stage("evaluate")
    count_opening(run)
    write_evidence(run, problem.data, problem.split, robust=settings.robustness)
    listener.stage("report")
    run.record.peak_mb = _peak_mb()
    report.write_report(run, [run.record.note] if run.record.note else [])


def record_of(problem: Problem, asked: dict[str, Any]) -> Record:
    """`run.json` as a run begins with it."""
    data, split, settings = problem.data, problem.split, problem.settings
    config = settings.model_dump(mode="json")
    return Record(
        learner=settings.learner,
        recipe=settings.recipe,
        asked={name: config[name] for name in asked if name not in ("learner", "recipe")},
        config=settings,
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
            positive=problem.positive,
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
