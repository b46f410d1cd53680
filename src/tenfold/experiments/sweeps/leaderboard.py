"""A comparison's end: the test rows opened once, for all learners that are listed."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tenfold.core import files
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation import MEASURES, Floats, beside_best
from tenfold.experiments.sweeps.folder import LeaderboardEntry
from tenfold.experiments.sweeps.page import write_comparison_page
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.experiments.sweeps.table import PointResult
from tenfold.runs.record import Run, most_opened

PER_ROWS = 10_000
"""Prediction is told in seconds for so many rows."""


def conclude_comparison(run: SweepRun, points: Sequence[PointResult]) -> None:
    """Measure the models on the test rows unless that was done, write the findings and the page.

    Ranked by the mean over the seeds on validation rows, before any test row is opened: `points`
    stand in that order.

    Raises:
      FileError: The count of openings or the page cannot be written.
    """
    record = run.record
    listed = [entry.learner for entry in record.places]
    if listed != [result.point["learner"] for result in points]:
        if listed:  # one that had failed was made since: all are measured again
            record.test_opened = 0
        run.listener.stage("test")
        _count_openings(run, sum(len(result.trials) for result in points))
        record.places = _measured(run, points)
    record.findings = _findings(record.places)
    run.listener.stage("report")
    write_comparison_page(run, points)


def _findings(entries: Sequence[LeaderboardEntry]) -> list[str]:
    """The result in plain words."""
    first = entries[0]
    lines = [f"{first.learner} is first on the validation rows; on the test rows {first.test}."]
    for verdict in ("better", "not distinguishable", "worse"):
        names = [entry.learner for entry in entries if entry.verdict == verdict]
        if names:
            lines.append(f"{verdict[0].upper()}{verdict[1:]} on the test rows: {', '.join(names)}.")
    return lines


def _measured(run: SweepRun, points: Sequence[PointResult]) -> list[LeaderboardEntry]:
    """Measure the models of each learner on the test rows, and compare them with the first."""
    answers = [_ask(result, run.problem.data, run.problem.split.test) for result in points]
    measure = MEASURES[run.problem.data.task.kind]
    comparisons = beside_best(np.stack([answer.row_scores for answer in answers]), best=0)
    return [
        LeaderboardEntry(
            learner=str(result.point["learner"]),
            val_mean=result.mean,
            val_deviation=result.deviation,
            test=measure.of_seeds(answer.row_scores, len(result.trials)),
            change=comparison and comparison.change,
            p_value=comparison and comparison.p_value,
            verdict=comparison.verdict if comparison else "best",
            seconds=result.seconds,
            predict_seconds=answer.seconds,
            n_bytes=round(statistics.mean(trial.n_bytes for trial in result.trials)),
            parameters=result.parameters,
            runs=[str(trial.run) for trial in result.trials],
        )
        for result, answer, comparison in zip(points, answers, comparisons, strict=True)
    ]


def _count_openings(run: SweepRun, n_models: int) -> None:
    """Count the models that are about to be measured; once, also when it is interrupted."""
    if run.record.test_opened:
        return
    out = run.path.parent
    with files.locked(out):
        opened = most_opened(out, run.record.data.fingerprint)
        run.record.test_opened = opened + n_models
        run.folder.save()


class _Answers(NamedTuple):
    """Row scores of the test rows (n,), the mean of the seeds, and the seconds per 10,000 rows."""

    row_scores: Floats
    seconds: float


def _ask(result: PointResult, data: Dataset, rows: RowNumbers) -> _Answers:
    """Ask the models of a learner, one by one."""
    x, y = data.x[rows], data.y[rows]
    total, seconds = np.zeros(len(rows)), []
    for trial in result.trials:
        model = Run.open(trial.run).model
        start = time.perf_counter()
        answers = model.answer(x)
        seconds.append(time.perf_counter() - start)
        total += answers.row_scores(y)
    mean_seconds = statistics.mean(seconds) * PER_ROWS / len(rows)
    return _Answers(total / len(result.trials), mean_seconds)
