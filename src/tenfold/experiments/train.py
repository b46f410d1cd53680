"""`train` and `resume`: one function call from data to a finished run folder."""

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
from tenfold.experiments.make_run import ending, make_run
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
    """Train, export, measure and report: one run folder.

    Args:
      data: A dataset, the name of one, its file or folder (see `tenfold.load`), or a pandas frame.
      target: Of a table the column that is predicted, by name or by position.
      learner: One of `tenfold.learners.LEARNERS`: `network`, `forest`, `logistic`, ...; or `auto`,
        which tries several on a table or on colour pictures and keeps the best. None: `auto` for
        tables and folders of colour pictures, `network` for everything else.
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
    asked |= {"recipe": recipe} | ({} if learner is None else {"learner": learner})
    resolve(asked)  # bad settings are said before anything is read
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
    run = Run.create(out, f"{files.stem_of(dataset.name)}-{settings.learner}", record)
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
            if run.audit is None:  # it failed before that was written
                files.write_document(run.path / "audit.json", audit_data(dataset))
            make_run(run, problem, listener)
    return run


def _check_ready(settings: Settings, clock: StageClock) -> None:
    """Look before a run folder is made or changed whether the learner can be trained here."""
    clock.pause()
    clock.stage("train")  # JAX starts here
    LEARNERS["network" if settings.learner == AUTO else settings.learner].check_ready()
    clock.pause()
