"""When a trial is hopeless: rules that look at constants alone, so that they are the same wherever
trials are made."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tenfold.build.problem import Problem
from tenfold.core.records import Epoch
from tenfold.core.task import TaskKind
from tenfold.learners import LEARNERS

Limits = tuple[tuple[int, float], ...]
"""(epoch, score) pairs: stop after that epoch unless the validation score is above."""

WATCHED_SHARE = 3
"""After a third of its epochs a network that is no better than the baseline is hopeless,"""

WATCHED_ROWS = 10_000
"""if it was shown as many rows: a few steps say nothing."""


class Stopped(Exception):
    """A trial is hopeless: it ends after this epoch."""


def stop_rule(stop_below: Sequence[tuple[int, float]]) -> Callable[..., None]:
    """A function of epochs that raises `Stopped` after a hopeless one."""
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
    """The validation accuracy, or minus the validation loss of a regression: more is better."""
    if epoch.accuracy is None:
        return None if epoch.val_loss is None else -epoch.val_loss
    return epoch.val_accuracy


def baseline_limit(problem: Problem) -> Limits:
    """The score of the baseline, to be passed after a third of the epochs; none for few epochs."""
    data, split, settings = problem.data, problem.split, problem.settings
    if not LEARNERS[settings.learner].epochs:
        return ()
    epoch = max(-(-settings.epochs // WATCHED_SHARE), -(-WATCHED_ROWS // len(split.train)))
    if epoch >= settings.epochs:
        return ()
    y, held_out = data.y[split.train], data.y[split.validation]
    return ((epoch, float(BASELINE_SCORES[data.task.kind](y, held_out))),)


BASELINE_SCORES: Mapping[TaskKind, Callable[..., float]] = {
    "classification": lambda y, held_out: (held_out == np.bincount(y).argmax()).mean(),
    "regression": lambda y, held_out: -np.mean(((held_out - y.mean()) / (y.std() or 1.0)) ** 2),
}
"""The validation score of the baseline that is fitted to y, as `score_of` has it."""
