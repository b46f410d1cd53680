"""The driver: a plan and rows become trials in a folder, each made once, whoever makes them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.core.progress import Listener
from tenfold.core.records import TrialResult
from tenfold.core.settings import Settings
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split
from tenfold.evaluation import MEASURES
from tenfold.experiments.evaluate import split_of
from tenfold.experiments.sweeps.executors import Executor
from tenfold.experiments.sweeps.folder import SweepRecord, claim, save_record
from tenfold.experiments.sweeps.plan import Plan, Point
from tenfold.experiments.sweeps.shared import MANIFEST, share
from tenfold.experiments.sweeps.table import Group, group_rows, read_row, write_table
from tenfold.experiments.sweeps.trials import THREADS, Job, has_ended
from tenfold.experiments.train import record_of
from tenfold.learners import LEARNERS
from tenfold.runs import record as runs

WATCHED_SHARE = 3
"""After a third of its epochs a network that is no better than the baseline is hopeless,"""

WATCHED_ROWS = 10_000
"""if it was shown as many rows: a few steps say nothing."""


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C came while a sweep was made; its trials so far are in `path`."""

    def __init__(self, path: Path, n_ended: int, n_trials: int) -> None:
        super().__init__(f"Interrupted: {path}")
        self.path, self.n_ended, self.n_trials = path, n_ended, n_trials


@dataclass(frozen=True)
class Task:
    """A trial that is to be made.

    Attributes:
      name: Of its folder.
      floors: As in `Job`.
    """

    name: str
    point: Point
    seed: int
    floors: tuple[tuple[int, float], ...] = ()


@dataclass
class Work:
    """A sweep under way.

    Attributes:
      path: Its folder.
      rows: By name of the trial, those that have ended.
      deadline: Of `time.monotonic`; None: as long as it takes.
    """

    plan: Plan
    data: Dataset
    split: Split
    path: Path
    record: SweepRecord
    executor: Executor
    listener: Listener
    deadline: float | None = None
    rows: dict[str, TrialResult] = field(default_factory=dict)

    @property
    def score_name(self) -> str:
        """The column of the score."""
        return f"val_{MEASURES[self.data.task.kind].column}"

    @property
    def least_is_best(self) -> bool:
        """Whether a smaller score is better."""
        return not self.data.task.more_is_better

    def go_on(self) -> bool:
        """Whether the time is not over."""
        return self.deadline is None or time.monotonic() < self.deadline

    def folder(self, task: Task) -> Path:
        """Where a trial stands."""
        return self.path / "trials" / task.name

    def make(self, tasks: Sequence[Task]) -> None:
        """Make the trials that have not ended, and read the rows of all that have.

        Raises:
          KeyboardInterrupt: Ctrl-C.
          FileError: A folder cannot be written.
        """
        by_folder = {str(self.folder(task).resolve()): task for task in tasks}
        jobs = [self._job(task, folder) for folder, task in by_folder.items()]
        missing = [job for job in jobs if not self._is_known(job, by_folder[job.folder])]
        self.listener.trials(self.path, self.record.n_trials, len(self.rows))
        if missing:
            self._share()
            if self.deadline is None:  # the longest first, so that none is left over at the end
                missing.sort(key=lambda job: -job.cost)
            for job in self.executor.run(missing, self.listener, self.go_on):
                self._read(by_folder[job.folder])

    def _read(self, task: Task) -> None:
        """Read what became of a trial, and say it."""
        row = self.rows[task.name] = read_row(task.point, self.folder(task))
        self.listener.trial_ended(task.name, row)
        if row.state == "failed":
            self.listener.warn(f"{task.name} failed: {row.why}")

    def _is_known(self, job: Job, task: Task) -> bool:
        if not has_ended(job):
            return False
        self.rows[task.name] = read_row(task.point, self.folder(task))
        return True

    def _share(self) -> None:
        folder = self.path / "data"
        if not (folder / MANIFEST).is_file():
            share(self.data, self.split, folder)

    def _job(self, task: Task, folder: str) -> Job:
        settings = self.plan.settings(task.point, task.seed)
        asked = self.plan.asked(task.point, task.seed)
        config = settings.model_dump(mode="json")
        known = {name: config[name] for name in asked if name not in ("learner", "recipe")}
        record = runs.Record(
            learner=settings.learner, recipe=settings.recipe, asked=known, config=settings,
            data=self.record.data, versions=self.record.versions, threads=THREADS,
        )  # fmt: skip
        floors = task.floors or tuple(self._hopeless(settings))
        kind = config | {"seed": None, "learning_rate": None}
        return Job(
            folder=folder,
            data=str((self.path / "data").resolve()),
            record=record.model_dump(mode="json"),
            floors=floors,
            kind=str(sorted(kind.items())),
            cost=self._cost(settings),
        )

    def _cost(self, settings: Settings) -> float:
        """Multiplications of a training, about: to begin with the longest."""
        n_outputs = max(1, len(self.data.labels))
        of_row = LEARNERS[settings.learner].cost(settings, n_inputs(self.data), n_outputs)
        return of_row * len(self.split.train)

    def _hopeless(self, settings: Settings) -> Iterator[tuple[int, float]]:
        """The score that must be passed: a constant, so that it is the same in every mode."""
        if not LEARNERS[settings.learner].epochs:
            return
        n_rows = len(self.split.train)
        epoch = max(-(-settings.epochs // WATCHED_SHARE), -(-WATCHED_ROWS // n_rows))
        if epoch >= settings.epochs:
            return
        y, seen = self.data.y[self.split.train], self.data.y[self.split.validation]
        if self.data.labels:
            worth = float((seen == np.bincount(y).argmax()).mean())
        else:
            worth = -float(np.mean(((seen - y.mean()) / (y.std() or 1.0)) ** 2))
        yield epoch, worth

    def write_table(self) -> None:
        """Write `sweep.csv` or `comparison.csv` with the trials that have ended."""
        path = self.path / f"{self.plan.kind}.csv"
        write_table(path, self.plan.columns, self.rows.values(), self.score_name)

    def save(self) -> None:
        """Write `sweep.json` or `comparison.json`."""
        save_record(self.path, self.record)


def n_inputs(data: Dataset) -> int:
    """Numbers in a row, about: the columns of a table become as many features or more."""
    return int(data.x[0].size) if data.table is None else len(data.table.columns)


def grid_tasks(plan: Plan) -> list[Task]:
    """The trials of a grid."""
    return [
        Task(_name(plan, point, seed), point, seed)
        for point in plan.points()
        for seed in range(plan.seeds)
    ]


def _name(plan: Plan, point: Point, seed: int) -> str:
    parts = [
        str(value) if name == "learner" else f"{name}-{value}" for name, value in point.items()
    ]
    return "-".join([*parts, f"seed-{plan.seed + seed}"])


@contextmanager
def working(
    plan: Plan,
    data: Dataset,
    out: Path,
    n_trials: int,
    executor: Executor,
    listener: Listener,
    minutes: float | None = None,
) -> Iterator[Work]:
    """Hold the folder of a sweep, made or found again; whatever happens, it says how it ended.

    Raises:
      FileError: Another process works on it, or it cannot be written.
      SweepInterrupted: Ctrl-C.
    """
    first = plan.settings(plan.points()[0], 0)
    split = split_of(data, first)
    base = record_of(Problem(data, split, first), {})
    asked: dict[str, Any] = {"fixed": dict(plan.fixed)}
    asked["axes"] = {name: list(values) for name, values in plan.axes.items()}
    asked |= {"seeds": plan.seeds, "seed": plan.seed, "search": plan.is_search}
    fresh = SweepRecord(
        kind=plan.kind, key=plan.key(data.fingerprint), asked=asked, data=base.data,
        n_trials=n_trials, threads=THREADS, n_workers=executor.n_workers, versions=base.versions,
    )  # fmt: skip
    stem = Path(data.name).resolve().stem
    path, record = claim(out, f"{stem}-{plan.kind}", fresh)
    with files.locked(path, wait=False):
        if record.versions != fresh.versions:
            changed = [n for n, v in fresh.versions.items() if record.versions.get(n) != v]
            listener.warn(f"{path} began with other versions of {', '.join(changed)}")
        spent, start = record.seconds.get("total", 0.0), time.monotonic()
        deadline = None if minutes is None else start + max(0.0, 60 * minutes - spent)
        work = Work(plan, data, split, path, record, executor, listener, deadline)
        record.n_workers, record.state = executor.n_workers, "running"
        work.save()
        try:
            yield work
            _end(work, "finished", spent, start)
        except KeyboardInterrupt:
            _end(work, "interrupted", spent, start)
            raise SweepInterrupted(path, len(work.rows), n_trials) from None
        except BaseException as error:
            record.error = str(error)
            _end(work, "failed", spent, start)
            raise


def _end(work: Work, state: str, spent: float, start: float) -> None:
    work.record.state = state  # type: ignore[assignment]
    work.record.seconds["total"] = round(spent + time.monotonic() - start, 3)
    work.save()


def ranked(work: Work) -> list[Group]:
    """The points of which every trial was finished, best first by the validation rows.

    Raises:
      RunError: There is none.
    """
    groups = group_rows(work.rows.values(), least_is_best=work.least_is_best)
    groups = [group for group in groups if len(group.rows) == work.plan.seeds]
    if groups:
        return groups
    whys = [row.why for row in work.rows.values() if row.why]
    raise RunError(
        "E814",
        "No setting has all of its trials finished",
        where=work.path,
        n_ended=len(work.rows),
        why=whys[0] if whys else "the time was over",
    )
