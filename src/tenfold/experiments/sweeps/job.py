"""A job: one trial of a sweep as plain values, the rule that stops it early, and its folder.

The rule uses only constants, so that it gives the same result wherever the trial runs.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.experiments.sweeps.folder import SweepFolder
from tenfold.experiments.sweeps.plan import Limits, Trial
from tenfold.experiments.sweeps.shared_rows import MANIFEST, share
from tenfold.learners import LEARNERS
from tenfold.runs.record import Record, Run

ENDED = ("finished", "stopped")
"""States of a trial that is not run again."""

WATCHED_SHARE = 3
"""A network is stopped if it is no better than the baseline after one third of its epochs."""

WATCHED_ROWS = 10_000
"""A network is only stopped after it has processed this many rows, because its score is random
after a few steps."""


@dataclass(frozen=True)
class Job:
    """A trial to run, as plain values that JSON and pickle can transport.

    Attributes:
      folder: Run folder of the trial, created by the process that runs it; unique in its sweep.
      data: Folder of the data, as written by `shared_rows.share`.
      record: The initial `run.json`: settings, fingerprint, versions.
      stop_below: Pairs (epoch, score). The trial stops after the epoch unless its validation score
        is above the score.
      kind: Jobs of the same kind compile the same programs, so that a process that has run one is
        faster at the next.
      cost: Number of multiplications of the whole training; the longest trials start first.
    """

    folder: str
    data: str
    record: dict[str, Any]
    stop_below: Limits = ()
    kind: str = ""
    cost: float = 0.0

    @property
    def name(self) -> str:
        return Path(self.folder).name

    @property
    def learner(self) -> str:
        return str(self.record["learner"])

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(self.record["config"])

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Job":
        limits = tuple((int(epoch), float(score)) for epoch, score in plain["stop_below"])
        return cls(**{**plain, "stop_below": limits})

    def as_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def begin(self) -> Run:
        """Return the run folder of the trial, and create it if necessary."""
        folder = Path(self.folder)
        with files.os_errors("create", folder):
            folder.mkdir(parents=True, exist_ok=True)
        return Run(folder, Record.model_validate(self.record))

    def has_ended(self) -> bool:
        """Whether the folder contains this trial, finished or stopped."""
        with suppress(RunError):
            record = Run.open(self.folder).record
            same = record.config == Record.model_validate(self.record).config
            return same and record.state in ENDED
        return False

    def give_up(self, why: str) -> None:
        run = self.begin()
        run.record.error = why
        run.finish("failed")


def job_of(trial: Trial, folder: SweepFolder, rows: Problem) -> Job:
    """Make the job of a trial. If no limits are given, the trial has to be better than the
    baseline.

    `rows` contains the rows of all trials, with the settings of one of them.
    """
    begun, plan = folder.record, folder.plan
    settings, asked = plan.settings(trial.point, trial.seed), plan.asked(trial.point, trial.seed)
    record = Record.beginning(settings, asked, begun.data, begun.versions, begun.threads)
    problem = replace(rows, settings=settings)
    kind = settings.model_dump(mode="json") | {"seed": None, "learning_rate": None}
    return Job(
        folder=str(folder.of_trial(trial.name).resolve()),
        data=str((folder.path / "data").resolve()),
        record=record.model_dump(mode="json"),
        stop_below=trial.stop_below or baseline_limit(problem),
        kind=str(sorted(kind.items())),
        cost=_cost(problem),
    )


def share_rows(folder: SweepFolder, rows: Problem) -> None:
    """Write the rows that all jobs read, if necessary; for photos, also their features."""
    shared = folder.path / "data"
    if (shared / MANIFEST).is_file():
        return
    learners = {folder.plan.settings(point, 0).learner for point in folder.plan.points()}
    take_photos = any(LEARNERS[name].photos for name in learners)
    share(rows.data, rows.split, shared, rows.features if take_photos else None)


def _cost(problem: Problem) -> float:
    """Estimate the number of multiplications of a training, to start with the longest."""
    data, settings = problem.data, problem.settings
    # Each column of a table becomes one feature or more.
    n_inputs = int(data.x[0].size) if data.table is None else len(data.table.columns)
    of_a_row = LEARNERS[settings.learner].cost(settings, n_inputs, max(1, len(data.labels)))
    return of_a_row * len(problem.split.train)


class Stopped(Exception):
    """A trial ends after this epoch, because it is not worth continuing."""


def stop_rule(stop_below: Sequence[tuple[int, float]]) -> Callable[..., None]:
    """Return a function of epochs that raises `Stopped` after an epoch below the limit."""
    limits: Mapping[int, float] = dict(stop_below)

    def check(*epochs: Epoch) -> None:
        for epoch in epochs:
            score, limit = score_of(epoch), limits.get(epoch.epoch)
            if not math.isfinite(epoch.loss):
                raise Stopped(f"stopped after epoch {epoch.epoch}: its loss is {epoch.loss}")
            if limit is not None and score is not None and not score > limit:
                raise Stopped(
                    f"stopped after epoch {epoch.epoch}: validation score {score:.4g}, "
                    f"not above {limit:.4g}"
                )

    return check


def score_of(epoch: Epoch) -> float | None:
    """Return the validation accuracy, or minus the validation loss of a regression, so that more is
    better."""
    if epoch.accuracy is None:
        return None if epoch.val_loss is None else -epoch.val_loss
    return epoch.val_accuracy


def baseline_limit(problem: Problem) -> Limits:
    """Return the baseline's score as the limit after a third of the epochs. With few epochs there
    is no limit."""
    data, split, settings = problem.data, problem.split, problem.settings
    if not LEARNERS[settings.learner].epochs:
        return ()
    epoch = max(-(-settings.epochs // WATCHED_SHARE), -(-WATCHED_ROWS // len(split.train)))
    if epoch >= settings.epochs:
        return ()
    y, held_out = data.y[split.train], data.y[split.validation]
    return ((epoch, float(BASELINE_SCORES[data.task.kind](y, held_out))),)


BASELINE_SCORES: Mapping[str, Callable[..., float]] = {
    "classification": lambda y, held_out: (held_out == np.bincount(y).argmax()).mean(),
    "regression": lambda y, held_out: -np.mean(((held_out - y.mean()) / (y.std() or 1.0)) ** 2),
}
"""The validation score of the baseline that is fitted to y, in the form of `score_of`."""
