"""A sweep under way: trials are made in its folder, each once, whoever makes them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tenfold.build.problem import Problem
from tenfold.core.progress import Listener
from tenfold.core.records import TrialResult
from tenfold.evaluation import MEASURES
from tenfold.experiments.run_data import record_of
from tenfold.experiments.sweeps.executors import Executor
from tenfold.experiments.sweeps.folder import (
    SweepFolder,
    SweepRecord,
    find_folder,
    hold_folder,
    new_record,
)
from tenfold.experiments.sweeps.plan import Plan, Trial
from tenfold.experiments.sweeps.table import read_result, write_table
from tenfold.experiments.sweeps.trial_jobs import TrialJobs


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C came while a sweep was made; its trials so far are in `path`."""

    def __init__(self, path: Path, n_ended: int, n_trials: int) -> None:
        super().__init__(f"Interrupted: {path}")
        self.path, self.n_ended, self.n_trials = path, n_ended, n_trials


@dataclass
class SweepRun:
    """A sweep under way.

    Attributes:
      problem: The rows of all trials, with the settings of the first.
      results: Of the trials that have ended, by their names.
      deadline: Of `time.monotonic`; None: as long as it takes.
    """

    folder: SweepFolder
    problem: Problem
    executor: Executor
    listener: Listener
    deadline: float | None = None
    results: dict[str, TrialResult] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def record(self) -> SweepRecord:
        """Its `sweep.json` or `comparison.json`."""
        return self.folder.record

    @property
    def plan(self) -> Plan:
        """What is to be tried."""
        return self.folder.plan

    @property
    def score_name(self) -> str:
        """The column of the score."""
        return f"val_{MEASURES[self.problem.data.task.kind].column}"

    @property
    def least_is_best(self) -> bool:
        """Whether a smaller score is better."""
        return not self.problem.data.task.more_is_better

    def has_time(self) -> bool:
        """Whether the time is not over."""
        return self.deadline is None or time.monotonic() < self.deadline

    def make(self, trials: Sequence[Trial]) -> None:
        """Make the trials that have not ended, and read the results of all that have.

        Raises:
          KeyboardInterrupt: Ctrl-C.
          FileError: A folder cannot be written.
        """
        work = TrialJobs(self.folder, self.problem)
        jobs = [(work.job(trial), trial) for trial in trials]
        missing = {job.folder: trial for job, trial in jobs if not job.has_ended()}
        for job, trial in jobs:
            if job.folder not in missing:
                self._read(trial)
        self.listener.trials(self.path, self.record.n_trials, len(self.results))
        if not missing:
            return
        work.share_rows()
        pending = [job for job, _ in jobs if job.folder in missing]
        if self.deadline is None:  # the longest first, so that none is left over at the end
            pending.sort(key=lambda job: -job.cost)
        for job in self.executor.run(pending, self.listener, self.has_time):
            trial = missing[job.folder]
            result = self._read(trial)
            self.listener.trial_ended(trial.name, result)
            if result.state == "failed":
                self.listener.warn(f"{trial.name} failed: {result.why}")

    def _read(self, trial: Trial) -> TrialResult:
        result = read_result(trial.point, self.folder.of_trial(trial.name))
        self.results[trial.name] = result
        return result

    def write_table(self) -> None:
        """Write `sweep.csv` or `comparison.csv` with the trials that have ended."""
        path = self.path / f"{self.plan.kind}.csv"
        write_table(path, self.plan.columns, self.results.values(), self.score_name)


@contextmanager
def running(
    plan: Plan, problem: Problem, out: Path, executor: Executor, listener: Listener
) -> Iterator[SweepRun]:
    """Hold the folder of a sweep, made or found again; whatever happens, it says how it ended.

    Raises:
      BackendError: The workers cannot train what is planned; no folder is made and none changed.
      FileError: Another process works on it, or it cannot be written.
      SweepInterrupted: Ctrl-C.
    """
    fresh = new_record(plan, record_of(problem, {}), executor.n_workers)
    stem = f"{Path(problem.data.name).resolve().stem}-{plan.kind}"
    found = find_folder(out, stem, plan, fresh.data.fingerprint)
    if found is None or found.record.state != "finished":
        executor.start(plan.learners, plan.n_trials)
    with hold_folder(out, stem, plan, fresh) as folder:
        record = folder.record
        if record.versions != fresh.versions:
            changed = [n for n, v in fresh.versions.items() if record.versions.get(n) != v]
            listener.warn(f"{folder.path} began with other versions of {', '.join(changed)}")
        run = SweepRun(folder, problem, executor, listener)
        clock = _Clock(folder)
        if plan.minutes is not None:
            run.deadline = clock.start + max(0.0, 60 * plan.minutes - clock.spent)
        record.n_workers, record.state, record.error = executor.n_workers, "running", None
        folder.save()
        try:
            yield run
            clock.end("finished")
        except KeyboardInterrupt:
            clock.end("interrupted")
            raise SweepInterrupted(folder.path, len(run.results), record.n_trials) from None
        except BaseException as error:
            record.error = str(error)
            clock.end("failed")
            raise


class _Clock:
    """The seconds of a sweep, those of earlier calls included."""

    def __init__(self, folder: SweepFolder) -> None:
        self.start, self.spent = time.monotonic(), folder.record.seconds.get("total", 0.0)
        self._folder = folder

    def end(self, state: Literal["finished", "interrupted", "failed"]) -> None:
        """Write how the sweep ended, and how long it took."""
        record = self._folder.record
        record.state = state
        record.seconds["total"] = round(self.spent + time.monotonic() - self.start, 3)
        self._folder.save()
