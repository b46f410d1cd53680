"""`train` and `resume`: make a finished run folder from data in one function call."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.core.progress import Listener, Listeners, StageClock
from tenfold.core.settings import AUTO, Reading, Settings, resolve
from tenfold.data.audit import audit_data
from tenfold.data.dataset import Dataset
from tenfold.experiments import run_data
from tenfold.experiments.make_run import ending, make_run, new_run
from tenfold.learners import LEARNERS, check_learner, check_used, default_learner
from tenfold.runs.record import Run

if TYPE_CHECKING:
    import pandas as pd


@files.os_errors()
def train(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    target: str | int | None = None,
    learner: str | None = None,
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
    """Train, export, measure and report in one run folder.

    Args:
      data: A dataset, its name, its file or folder (see `tenfold.load`), or a pandas data frame.
      target: The column of a table to predict, by name or by position.
      learner: One of `tenfold.learners.LEARNERS`, such as `network`, `forest` or `logistic`; or
        `auto`, which tries several on a table or on colour pictures and keeps the best. None:
        `auto` for tables and folders of colour pictures, `network` for everything else.
      recipe: `default`, `fast`, `long`, `accurate`, or `tutorial` for the settings of the tutorial.
      hidden: Number of neurons in each hidden layer, from first to last.
      epochs: Number of passes over the training rows.
      batch_size: Number of rows in each step.
      learning_rate: Learning rate at the start.
      seed: Seed of the split, the initial weights and the order of the rows.
      test_size: Share of the training set to test on instead of the official test set.
      reading: Further options for a table: task, kinds of columns, order of time, and so on.
      out: Folder of the run folders. This run takes the next free number.
      listener: Is told about stages and epochs as they happen.
      **others: Any other setting of `tenfold.core.settings.Settings`.

    Returns:
      The finished run: `run.evaluation`, `run.model`, `run.path`.

    Raises:
      SettingsError: A setting is invalid.
      DataError: The dataset is unknown, or has too few examples to split.
      BackendError: JAX's compiler computes wrong results here. No folder is created.
      ExportError: The graph does not predict the same as the learner.
      FileError: The folder cannot be written, or the disk is full.
      Interrupted: Ctrl-C was pressed. It is a KeyboardInterrupt that has the run.
    """
    given = dict(
        hidden=hidden, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        seed=seed, test_size=test_size, **others,
    )  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    asked |= {"recipe": recipe} | ({} if learner is None else {"learner": learner})
    resolve(asked)  # this refuses invalid settings before anything is read
    check_used(asked, [] if learner is None else [learner])
    clock = StageClock()
    listener = Listeners([clock, listener or Listener()])
    listener.stage("load")
    dataset = run_data.as_dataset(data, target, reading)
    in_files = dataset.pictures is not None
    asked.setdefault("learner", default_learner(dataset.input, asked, in_files=in_files))
    check_used(asked, [asked["learner"]])
    settings = resolve(asked, table=dataset.input.kind == "table", n_rows=len(dataset))
    check_learner(settings, dataset.task.kind, dataset.input)
    dataset = run_data.decided(dataset, settings)
    audit = audit_data(dataset)
    listener.audit(audit)
    problem = run_data.problem_of(dataset, settings)
    record = run_data.record_of(problem, asked)
    _check_ready(settings, clock)
    run = new_run(out, problem, record)
    with ending(run, clock), files.locked(run.path, wait=False):
        files.write_document(run.path / "audit.json", audit)
        make_run(run, problem, listener)
    return run


@files.os_errors()
def resume(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    listener: Listener | None = None,
) -> Run:
    """Resume a run that was interrupted, killed or failed. The model is the same as without the
    interruption.

    Args:
      run: A run or its folder, which may have been moved.
      data: The run's data. By default they are found by their name.
      listener: Is told about stages and epochs as they happen.

    Returns:
      The finished run.

    Raises:
      RunError: There is no run, or it has finished.
      DataError: The data are not the run's.
      BackendError: JAX's compiler computes wrong results here. The run is not changed.
      FileError: Another process is using the run, or an error of `train`.
      Interrupted: Ctrl-C was pressed. It is a KeyboardInterrupt that has the run.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    with files.locked(run.path, wait=False):
        run = Run.open(run.path)  # from here on no other process changes it
        record = run.record
        if record.state == "finished":
            fix = "Train again without --resume for another run"
            raise RunError("E816", "The run has already finished", where=run.path, fix=fix)
        clock = StageClock()
        listener = Listeners([clock, listener or Listener()])
        settings = record.config
        listener.stage("load")
        dataset = run_data.data_of(record, data)
        run_data.check_same_data(dataset, record)
        problem = run_data.problem_of(dataset, settings)
        _check_ready(settings, clock)
        if record.versions != (now := run_data.versions()):
            changed = {n: (v, now.get(n)) for n, v in record.versions.items() if now.get(n) != v}
            listener.warn(f"other versions than the run began with: {changed}: not bit-exact.")
        record.state, record.error, record.versions = "running", None, now
        with ending(run, clock):
            run.sweep()
            run.save()
            if run.audit is None:  # it failed before the audit was written
                files.write_document(run.path / "audit.json", audit_data(dataset))
            make_run(run, problem, listener)
    return run


def _check_ready(settings: Settings, clock: StageClock) -> None:
    """Check that the learner can be trained here, before a run folder is created or changed."""
    clock.pause()
    clock.stage("train")  # this starts JAX
    LEARNERS["network" if settings.learner == AUTO else settings.learner].check_ready()
    clock.pause()
