"""A comparison's end: the test rows opened once, for all learners that are listed."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.core import files
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation import MEASURES, Floats, beside_best
from tenfold.experiments.sweeps.folder import Place
from tenfold.experiments.sweeps.table import Group
from tenfold.experiments.sweeps.work import Work
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
    answered = [_ask(group, work.data, work.split.test) for group in groups]
    tests = beside_best(np.stack([answers.row_scores for answers in answered]), best=0)
    measure = MEASURES[work.data.task.kind]
    return [
        Place(
            learner=str(group.point["learner"]),
            val_mean=group.mean,
            val_deviation=group.deviation,
            test=measure.of_seeds(answers.row_scores, len(group.rows)),
            change=test and test.change,
            p_value=test and test.p_value,
            verdict=test.verdict if test else "best",
            seconds=group.seconds,
            predict_seconds=answers.seconds,
            n_bytes=round(statistics.mean(row.n_bytes for row in group.rows)),
            parameters=group.parameters,
            runs=[str(row.run) for row in group.rows],
        )
        for group, answers, test in zip(groups, answered, tests, strict=True)
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


class _Answered(NamedTuple):
    """Row scores of the test rows (n,), the mean of the seeds, and the seconds per 10,000 rows."""

    row_scores: Floats
    seconds: float


def _ask(group: Group, data: Dataset, rows: RowNumbers) -> _Answered:
    """Ask the models of a group, one by one."""
    x, y = data.x[rows], data.y[rows]
    total, seconds = np.zeros(len(rows)), []
    for row in group.rows:
        model = Run.open(row.run).model
        start = time.perf_counter()
        answers = model.answer(x)
        seconds.append(time.perf_counter() - start)
        total += answers.row_scores(y)
    return _Answered(total / len(group.rows), statistics.mean(seconds) * PER_ROWS / len(rows))
