"""Fit a model and write it into its run folder, with everything that is needed to resume after an
interruption."""

from tenfold.build.build import BuiltModel
from tenfold.build.choose import fit_chosen
from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.progress import Listener, Listeners, OnEpochs
from tenfold.learners import Checkpoints
from tenfold.runs import csv_files
from tenfold.runs.record import Run


def fit_run(run: Run, problem: Problem, listener: Listener) -> BuiltModel:
    """Fit a model, resuming from the newest checkpoint if there is one, and write `history.csv` and
    `model.onnx`.

    The number of parameters and the note are added to the run's record. Each epoch is written
    before it is reported.

    Raises:
      KeyboardInterrupt: Ctrl-C was pressed. The model is that of the last finished epoch.
    """
    path = run.path / "history.csv"
    history = csv_files.GrowingHistory(path)
    listeners = Listeners([OnEpochs(history.add), listener])
    built = fit_chosen(problem, listeners, Checkpoints(run.path / "checkpoints"))
    run.record.parameters, run.record.note = built.parameters, built.note
    run.record.learner, run.record.plan = built.contract.learner, built.plan
    if built.candidates:
        csv_files.write_candidates(run.path / csv_files.CANDIDATES, built.candidates)
    csv_files.write_history(path, built.history)
    files.write_bytes(run.path / "model.onnx", built.content)
    if built.interrupted:
        raise KeyboardInterrupt
    return built


def clear_checkpoints(run: Run) -> None:
    Checkpoints(run.path / "checkpoints").clear()
