"""Make a finished run in an empty run folder: fit, measure and report."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np

from tenfold import report
from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.progress import Listener, Listeners, OnEpochs, StageClock, peak_mb
from tenfold.experiments.artifacts import write_evidence
from tenfold.experiments.checks import write_checks
from tenfold.experiments.fit_run import clear_checkpoints, fit_run
from tenfold.experiments.studies import check_studies, write_studies
from tenfold.learners.jax_runtime import import_all
from tenfold.runs.record import Record, Run, count_opening

AFTER_TRAINING = ("onnx", "scipy.optimize", "PIL.ImageFont", "jinja2")
"""The modules that are needed for the export, the evaluation and the report."""


KEPT = "checkpoints/photos"
"""Folder for the features of photos while a run is made."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed while a run was made. `run` contains what was finished."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Interrupted: {run.path}")
        self.run = run


def new_run(out: Path | str, problem: Problem, record: Record) -> Run:
    """Create an empty run folder for a problem. Before that, refuse studies that the problem does
    not allow."""
    check_studies(problem)
    return Run.create(out, f"{files.stem_of(problem.data.name)}-{problem.settings.learner}", record)


@contextmanager
def ending(run: Run, clock: StageClock) -> Iterator[None]:
    """Record how the run of this block ended and how long its stages took, also after an error.

    Ctrl-C raises `Interrupted`.
    """
    run.record.seconds = clock.seconds
    try:
        yield
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
        run.fail(str(error))
        raise


def make_run(run: Run, problem: Problem, listener: Listener) -> None:
    """Fit, measure and report. The listener is told about each stage that the clock of `ending`
    records."""
    problem.features.folder, problem.features.listener = run.path / KEPT, listener
    _show_samples(problem, listener)
    built = fit_run(run, problem, Listeners([OnEpochs(lambda *_: _import_ahead()), listener]))
    write_studies(run, problem, built.candidates, listener)
    listener.stage("evaluate")
    count_opening(run)
    write_evidence(run, problem.data, problem.split, robust=problem.settings.robustness)
    write_checks(run, problem, built.at_edge)
    listener.stage("report")
    run.record.peak_mb = peak_mb()
    report.write_report(run)
    report.write_model_card(run)


def _show_samples(problem: Problem, listener: Listener) -> None:
    """Show the listener some training pictures: the first two of each label, at most twenty."""
    data, train = problem.data, problem.split.train
    if data.input.kind != "image":
        return
    rows = [train[data.y[train] == code][:2] for code in range(len(data.labels))]
    some = np.sort(np.concatenate(rows)[:20])
    listener.samples(data.x[some], [data.labels[code] for code in data.y[some]])


@cache
def _import_ahead() -> None:
    """Import modules for later stages while XLA computes, which saves 0.5 s of waiting."""
    Thread(target=import_all, args=(AFTER_TRAINING,)).start()
