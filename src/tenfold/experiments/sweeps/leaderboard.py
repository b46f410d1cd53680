"""A comparison's end: the test rows opened once, for all learners that are listed."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.core import files
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation import Floats, Score, beside_best, mean_interval, wilson
from tenfold.experiments.sweeps.folder import Place
from tenfold.experiments.sweeps.table import Group
from tenfold.experiments.sweeps.work import Work
from tenfold.model.predictions import Values
from tenfold.runs.record import Run, most_opened

PER_ROWS = 10_000
"""Prediction is told in seconds for so many rows."""


def place_learners(work: Work, groups: Sequence[Group]) -> list[Place]:
    """Measure the models of the groups on the test rows, and rank them.

    Ranked by the mean over the seeds on validation rows, before any test row is opened: `groups`
    stand in that order.

    Raises:
      FileError: The count of openings cannot be written.
    """
    n_models = sum(len(group.rows) for group in groups)
    _count(work, n_models)
    asked = [_ask(group, work.data, work.split.test) for group in groups]
    tests = beside_best(np.stack([one.worth for one in asked]), best=0)
    return [
        Place(
            learner=str(group.point["learner"]),
            val_mean=group.mean,
            val_deviation=group.deviation,
            test=_score(one.worth, len(group.rows), is_accuracy=bool(work.data.labels)),
            change=test and test.change,
            p_value=test and test.p_value,
            verdict=test.verdict if test else "best",
            seconds=group.seconds,
            predict_seconds=one.seconds,
            n_bytes=round(statistics.mean(row.n_bytes for row in group.rows)),
            parameters=group.parameters,
            runs=[str(row.run) for row in group.rows],
        )
        for group, one, test in zip(groups, asked, tests, strict=True)
    ]


def _count(work: Work, n_models: int) -> None:
    """Count the models that are about to be measured; once, also when it is interrupted."""
    if work.record.test_opened:
        return
    out = work.path.parent
    with files.locked(out):
        opened = most_opened(out, work.record.data.fingerprint)
        work.record.test_opened = opened + n_models
        work.save()


class _Asked(NamedTuple):
    """What each test row was worth (n,), the mean of the seeds, and the seconds per 10,000."""

    worth: Floats
    seconds: float


def _ask(group: Group, data: Dataset, rows: RowNumbers) -> _Asked:
    """Ask the models of a group, one by one: right (1) or wrong, or minus squared errors."""
    x, y = data.x[rows], data.y[rows]
    total, seconds = np.zeros(len(rows)), []
    for row in group.rows:
        model = Run.open(row.run).model
        start = time.perf_counter()
        answers = model.answer(x)
        seconds.append(time.perf_counter() - start)
        if isinstance(answers, Values):
            total -= (answers.value - y) ** 2
        else:
            total += answers.codes == y
    worth = total / len(group.rows)
    return _Asked(worth, statistics.mean(seconds) * PER_ROWS / len(rows))


def _score(worth: Floats, n_seeds: int, *, is_accuracy: bool) -> Score:
    """Accuracy, or RMSE, with the interval of its rows."""
    if is_accuracy and n_seeds == 1:
        return wilson(int(worth.sum()), len(worth))
    if is_accuracy:
        return mean_interval(worth)
    squares = mean_interval(-worth)
    low, value, high = (max(end, 0.0) ** 0.5 for end in (squares.low, squares.value, squares.high))
    return Score(value=value, low=low, high=high)
