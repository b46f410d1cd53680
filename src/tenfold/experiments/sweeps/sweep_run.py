"""A running sweep. Each trial is made once in its folder, by any of the workers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tenfold.build.problem import Problem
from tenfold.core.progress import Listener
from tenfold.core.records import TrialResult
from tenfold.evaluation import MEASURES, Floats, sign_flip_p
from tenfold.experiments.run_data import record_of, split_of
from tenfold.experiments.sweeps.executors import Executor
from tenfold.experiments.sweeps.folder import (
    SweepFolder,
    SweepRecord,
    find_folder,
    hold_folder,
    stem_for,
)
from tenfold.experiments.sweeps.job import Job, job_of, share_rows
from tenfold.experiments.sweeps.plan import Plan, Trial
from tenfold.experiments.sweeps.results import PointResult, rank_points, read_result, write_table


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C interrupted a sweep. Its trials so far are in `path`."""

    def __init__(self, path: Path, n_ended: int, n_trials: int) -> None:
        super().__init__(f"Interrupted: {path}")
        self.path, self.n_ended, self.n_trials = path, n_ended, n_trials


@dataclass
class SweepRun(SweepFolder):
    """A running sweep and its folder.

    `problem` has the rows of all trials, with the settings of the first. `deadline` is a time of
    `time.monotonic`. `results` are those of the trials that have ended, by name.
    """

    problem: Problem
    executor: Executor
    listener: Listener
    deadline: float | None = None
    results: dict[str, TrialResult] = field(default_factory=dict)
    _asked: dict[str, Floats] = field(default_factory=dict)

    @property
    def score_name(self) -> str:
        return f"val_{MEASURES[self.problem.data.task.kind].column}"

    @property
    def least_is_best(self) -> bool:
        return not self.problem.data.task.more_is_better

    def has_time(self) -> bool:
        return self.deadline is None or time.monotonic() < self.deadline

    def make(self, trials: Sequence[Trial]) -> None:
        """Run the trials that have not ended, and read the results of all that have."""
        missing: dict[str, Trial] = {}
        pending: list[Job] = []
        for trial in trials:
            job = job_of(trial, self, self.problem)
            if job.has_ended():
                self._read(trial)
            else:
                missing[job.folder] = trial
                pending.append(job)
        self.listener.trials(self.path, self.record.n_trials, len(self.results))
        if not pending:
            return
        share_rows(self, self.problem)
        if self.deadline is None:  # the longest first, so that no long trial runs alone at the end
            pending.sort(key=lambda job: -job.cost)
        for job in self.executor.run(pending, self.listener, self.has_time):
            trial = missing[job.folder]
            result = self._read(trial)
            self.listener.trial_ended(trial.name, result)
            if result.state == "failed":
                self.listener.warn(f"{trial.name} failed: {result.why}")

    def _read(self, trial: Trial) -> TrialResult:
        result = read_result(trial.point, self.of_trial(trial.name))
        self.results[trial.name] = result
        return result

    def ranked(self) -> list[PointResult]:
        """Write the table of all trials that have ended, and rank the points that are complete."""
        results = self.results.values()
        path = self.path / f"{self.plan.kind}.csv"
        write_table(path, self.plan.columns, results, self.score_name)
        return rank_points(
            results, self.plan.seeds, least_is_best=self.least_is_best, where=self.path
        )

    def differs(self, first: PointResult, second: PointResult) -> bool:
        """Whether the validation rows distinguish two points, in a paired test at 5%."""
        scores, groups = [], self.problem.data.groups
        for result in (first, second):
            name = result.trials[0].run.name
            if name not in self._asked:
                data, split = self.problem.data, self.problem.split
                self._asked[name] = result.ask(data, split.validation)[0]
            scores.append(self._asked[name])
        if groups is not None:
            groups = groups[self.problem.split.validation]
        return sign_flip_p(scores[1] - scores[0], groups=groups) <= 0.05


@contextmanager
def running(
    plan: Plan, problem: Problem, out: Path, executor: Executor, listener: Listener
) -> Iterator[SweepRun]:
    """Lock the folder of a sweep, whether it is new or an earlier one, and record how the sweep
    ended.

    The workers are checked first: if they cannot train what is planned, no folder is created or
    changed. Ctrl-C becomes `SweepInterrupted`.
    """
    begun = record_of(problem, {})
    fresh = SweepRecord(
        kind=plan.kind,
        key=plan.key(begun.data.fingerprint),
        asked=plan.as_plain(),
        data=begun.data,
        n_trials=plan.n_trials,
        n_workers=executor.n_workers,
        versions=begun.versions,
    )
    stem = stem_for(problem.data.name, plan)
    before = find_folder(out, stem, plan, fresh.data)
    if before is None or before.record.state != "finished":
        executor.start(plan.learners, plan.n_trials)
    with hold_folder(out, stem, plan, fresh) as folder:
        record = folder.record
        if record.versions != fresh.versions:
            changed = [n for n, v in fresh.versions.items() if record.versions.get(n) != v]
            listener.warn(f"{folder.path} began with other versions of {', '.join(changed)}")
        data = problem.data.split_like(record.data.reading)
        problem = replace(problem, data=data, split=split_of(data, problem.settings))
        run = SweepRun(folder.path, record, folder.plan, problem, executor, listener)
        start, spent = time.monotonic(), record.seconds.get("total", 0.0)
        if plan.minutes is not None:
            run.deadline = start + max(0.0, 60 * plan.minutes - spent)
        record.n_workers, record.state, record.error = executor.n_workers, "running", None
        try:
            run.save()
            yield run
            record.state = "finished"
        except KeyboardInterrupt:
            record.state = "interrupted"
            raise SweepInterrupted(run.path, len(run.results), record.n_trials) from None
        except BaseException as error:
            record.state, record.error = "failed", str(error)
            raise
        finally:
            record.seconds["total"] = round(spent + time.monotonic() - start, 3)
            run.save()
