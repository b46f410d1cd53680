"""A trial: one training of a sweep, from a plain value to a run folder. Runs in a worker process.

The whole of what happens between a job and files; how jobs come to workers is `executors`.
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
    """Make a trial, or find it made: what becomes of it stands in its folder.

    Idempotent: a trial that has ended is left as it is; one whose process died goes on from its
    newest checkpoint to the same model. Whatever goes wrong with the trial itself is written down
    in its `run.json` (`state`, `error`) and not raised. A job that is given out twice is made once
    at a time: the folder is locked meanwhile.
    """
    run = job.begin()
    with files.locked(run.path):
        if job.has_ended():
            return
        run.sweep()
        run.save()
        clock = StageClock()
        run.record.seconds = clock.seconds
        # The epoch that ends a trial is reported before.
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
"""The rows of the sweep this process works for."""


@functools.lru_cache(maxsize=2)
def _encoded(folder: str, scaled: bool, ordered: bool) -> Prepared:
    """Encoded rows: they are the same for every learner that wants them alike."""
    return prepare(*_rows(Path(folder)), scaled=scaled, ordered=ordered)


@functools.lru_cache(maxsize=1)
def _photos(folder: str) -> Prepared:
    """The features of photos: they are the same for every learner of photos."""
    data, split = _rows(Path(folder))
    return prepare_photos(data.as_photos(), split, PhotoFeatures(Path(folder)))


def _in_words(error: Exception) -> str:
    """One line: our errors speak for themselves, others say what they are."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TenfoldError) else f"{type(error).__name__}: {text}"
