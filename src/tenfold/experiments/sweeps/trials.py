"""A trial: one training of a sweep, from a job to a run folder. It runs in a worker process.

This module does everything between a job and its files; `executors` brings jobs to workers.
"""

import functools
from pathlib import Path

from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Prepared, Problem, prepare, prepare_photos
from tenfold.core import files
from tenfold.core.errors import TenfoldError
from tenfold.core.progress import Listener, Listeners, OnEpochs, StageClock
from tenfold.experiments.artifacts import write_validation
from tenfold.experiments.fit_run import clear_checkpoints, fit_run
from tenfold.experiments.sweeps.job import Job, Stopped, stop_rule
from tenfold.experiments.sweeps.shared_rows import open_shared
from tenfold.learners import LEARNERS


def run_trial(job: Job, listener: Listener | None = None) -> None:
    """Run a trial, unless it has already ended. Its folder contains the result.

    The function is idempotent. A trial that has ended is left unchanged, and one whose process died
    resumes from its newest checkpoint and ends with the same model. An error of the trial itself is
    recorded in its `run.json` (`state`, `error`) and not raised. The folder is locked, so that a
    job that was assigned twice does not run twice at the same time.
    """
    run = job.begin()
    with files.locked(run.path):
        if job.has_ended():
            return
        run.sweep()
        run.save()
        clock = StageClock()
        run.record.seconds = clock.seconds
        # The epoch that ends a trial is reported first.
        listeners = Listeners([clock, listener or Listener(), OnEpochs(stop_rule(job.stop_below))])
        try:
            clock.stage("train")
            problem = _problem(job)
            fit_run(run, problem, listeners)
            clock.stage("evaluate")
            write_validation(run, problem.data, problem.split)
            state = "finished"
        except Stopped as stopped:
            run.record.note, state = str(stopped), "stopped"
        except Exception as error:
            run.record.error, state = _in_words(error), "failed"
        clock.pause()
        clock.total()
        run.finish(state)  # type: ignore[arg-type]
        clear_checkpoints(run)


def _problem(job: Job) -> Problem:
    settings = job.settings
    data, split = _rows(Path(job.data))
    learner = LEARNERS[settings.learner]
    if learner.photos:
        return Problem(data.as_photos(), split, settings, _photos(job.data))
    encoded = _encoded(job.data, learner.scaled, learner.ordered)
    return Problem(data, split, settings, encoded)


_rows = functools.lru_cache(maxsize=1)(open_shared)
"""The rows of the sweep for which this process works."""


@functools.lru_cache(maxsize=2)
def _encoded(folder: str, scaled: bool, ordered: bool) -> Prepared:
    """Encoded rows. Learners that need the same encoding share them."""
    return prepare(*_rows(Path(folder)), scaled=scaled, ordered=ordered)


@functools.lru_cache(maxsize=1)
def _photos(folder: str) -> Prepared:
    """Features of photos, which all learners of photos share."""
    data, split = _rows(Path(folder))
    return prepare_photos(data.as_photos(), split, PhotoFeatures(Path(folder)))


def _in_words(error: Exception) -> str:
    """Describe an error in one line, with its type unless it is one of Tenfold's own errors."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TenfoldError) else f"{type(error).__name__}: {text}"
