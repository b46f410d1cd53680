"""The learning curve of a training: the scores of models that are fitted to parts of its rows.

The models are scored on rows to which they were not fitted. Each part has its own validation rows,
so that the scored rows choose nothing. Test rows are not used.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tenfold.build.build import fit_model
from tenfold.build.problem import Problem
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.data.dataset import RowNumbers
from tenfold.data.split import Split, assign_folds, hold_out
from tenfold.evaluation.learning_curve import LearningCurve, learning_curve
from tenfold.model.model import Model

SIZES, SEEDS = 5, 3
"""The number of sizes, and the number of models of each size, which are fitted to different
rows."""

REACH, LEAST = 16, 20
"""The smallest size is one sixteenth of the rows, but at least this number."""

FEW, FOLDS, HELD_OUT = 2_000, 5, 0.1
"""With fewer training rows than this, all rows outside the test part are scored by
cross-validation. Otherwise the validation rows are scored, or a tenth of the rows if there are no
validation rows."""

MIN_GROUPS = 10
"""The minimum number of groups that are scored, if rows are in groups."""


class _Turn(NamedTuple):
    """The rows from whose parts models are fitted, and the rows on which these are scored."""

    pool: RowNumbers
    scored: RowNumbers


def check_curve(problem: Problem) -> None:
    """Refuse a curve before anything is fitted.

    Raises:
      DataError: The rows are in the order of time, or there are too few.
    """
    data = problem.data
    rows = np.sort(np.concatenate([problem.split.train, problem.split.validation]))
    if data.info is not None and data.info.timeline is not None:
        raise DataError(
            "E819",
            "There is no learning curve for rows in the order of time",
            where=data.name,
            expected="rows in no particular order: additional rows would be later ones here, and "
            "earlier rows cannot represent them",
            fix="Train without --learning-curve; --folds K shows how the scores change with time",
        )
    if data.groups is not None:
        scored = rows if _is_by_folds(problem) else next(_turns(problem, 0)).scored
        n_groups = len(np.unique(data.groups[scored]))
        if n_groups < MIN_GROUPS:
            raise DataError(
                "E821",
                "There are too few groups for a learning curve",
                where=data.name,
                expected=f"{MIN_GROUPS} or more groups among the scored rows",
                fix="Train without --learning-curve",
                n_groups=n_groups,
            )
    n_needed = math.ceil(2 * _least(problem) * FOLDS / (FOLDS - 1))
    if len(rows) < n_needed:
        raise DataError(
            "E820",
            "There are too few rows for a learning curve",
            where=data.name,
            expected=f"{n_needed:,} or more rows outside the test set",
            fix="Train without --learning-curve",
            n_rows=len(rows),
        )


def measure_learning_curve(problem: Problem, listener: Listener | None = None) -> LearningCurve:
    """Fit the problem's learner to five sizes of its rows, three times each.

    The parts are drawn in the same way as test rows: labels keep their shares, and groups and
    copies stay together. The listener is told how many models are done.

    Raises:
    """
    check_curve(problem)
    data, listener = problem.data, listener or Listener()
    turns_of = [list(_turns(problem, seed)) for seed in range(SEEDS)]
    scored = np.sort(np.concatenate([turn.scored for turn in turns_of[0]]))
    n_pool = min(len(turn.pool) for turns in turns_of for turn in turns)
    asked = np.geomspace(max(n_pool / REACH, _least(problem)), n_pool, SIZES)
    row_scores, n_fitted = np.zeros((SIZES, SEEDS, len(scored))), np.zeros(SIZES)
    fits = [
        (i, seed, turn) for seed in range(SEEDS) for turn in turns_of[seed] for i in range(SIZES)
    ]
    for done, (i, seed, turn) in enumerate(fits):
        listener.progress(done, len(fits))
        rng = np.random.default_rng((problem.settings.seed, seed, i))
        rows, _ = hold_out(data, turn.pool, 1 - min(1, asked[i] / len(turn.pool)), rng)
        at = np.searchsorted(scored, turn.scored)
        row_scores[i, seed, at] = _scores_of(problem, rows, turn.scored)
        n_fitted[i] += len(rows) * SIZES / len(fits)
    listener.progress(len(fits), len(fits))
    return learning_curve(
        n_fitted,
        row_scores,
        data.task.kind,
        learner=problem.settings.learner,
        part="folds" if _is_by_folds(problem) else "validation",
        n_rows=len(problem.split.train) + len(problem.split.validation),
        groups=None if data.groups is None else data.groups[scored],
    )


def _least(problem: Problem) -> int:
    """The minimum number of rows for a fit, so that at least two of them are validation rows."""
    share = problem.settings.validation_size
    return max(LEAST, math.ceil(2 / share) if share else 0)


def _is_by_folds(problem: Problem) -> bool:
    return len(problem.split.train) < FEW


def _turns(problem: Problem, seed: int) -> Iterator[_Turn]:
    """The rows that are fitted to and scored with one seed. With each seed, every scored row is
    predicted once."""
    train, validation = problem.split.train, problem.split.validation
    if not _is_by_folds(problem):
        if not len(validation):
            train, validation = hold_out(problem.data, train, HELD_OUT, problem.settings.seed)
        yield _Turn(train, validation)
        return
    rows = np.sort(np.concatenate([train, validation]))
    fold_of = assign_folds(problem.data, rows, FOLDS, problem.settings.seed + seed)
    for fold in range(FOLDS):
        yield _Turn(rows[fold_of != fold], rows[fold_of == fold])


def _scores_of(problem: Problem, rows: RowNumbers, scored: RowNumbers) -> np.ndarray:
    """Fit a model to some rows, and return the score of its prediction for each of the others
    (n,)."""
    data, settings = problem.data, problem.settings
    train, validation = hold_out(data, rows, settings.validation_size, settings.seed)
    if data.labels and len(np.unique(data.y[train])) < 2:
        # If there is a single label, any learner predicts it.
        settings = settings.model_copy(update={"learner": "baseline", "class_weights": None})
    none = np.empty(0, np.int64)
    parts = Split(train, validation, none, none)
    built = fit_model(replace(problem, split=parts, settings=settings, encoded=None))
    if built.interrupted:
        raise KeyboardInterrupt
    model = Model(built.content)
    asked = data.seen_as(model.contract.input).x[scored]
    return model.answer(asked).row_scores(data.y[scored])
