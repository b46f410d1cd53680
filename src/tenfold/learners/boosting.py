"""The learner `boosting`: small trees in sequence, each fitted to the errors of those before it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.inputs.features import features
from tenfold.learners.choice import Choice, parts_by_answer, row_losses
from tenfold.learners.classical import Estimator, loss_of, spread
from tenfold.learners.job import CrossAnswers, Examples, Fitted, TrainingJob

FEW_ANSWERS = 4_000
"""If the number of training and validation rows, multiplied by the number of labels, is smaller
than this, the number of rounds is chosen by cross-validation on all rows, because the choice would
be random on a few validation rows. With ten labels, cross-validation would take minutes."""

FEW = 2_000
"""With at least this number of rows, leaves are larger."""

FOLDS = 5
"""Number of folds if there are few rows. Each fold determines the number of rounds of a fit to the
others."""

MIN_LEAF, MIN_LEAF_OF_FEW = 10, 5
"""Default minimum number of training rows in a leaf, for many rows and for few."""

WATCHED, BY_FOLDS, UNWATCHED = 1_000, 300, 200
"""Maximum number of rounds with early stopping on validation rows, with cross-validation, and with
neither. With cross-validation and 1,000 rounds, the losses on three small tables were 0.94 to 1.09
times those with 300 rounds, and the fits took twice as long."""

MOST_TREES, FEWEST_ROUNDS = 5_000, 200
"""Minimum number of rounds if there are several labels. A round has a tree for each label, so that
the maximum number of rounds decreases with the number of labels. For ten handwritten digits the
loss after 500 rounds is 3% higher than after 1,000 rounds, and 10% lower than after 200."""

MOST_BINS = 255
"""Maximum number of bins into which scikit-learn divides the values of a column. If no column has
so many distinct values, fewer bins give the same trees faster: for digits with 17 values, in three
fifths of the time."""

MIN_WATCHED = 50
"""With fewer validation rows there is no early stopping, because the number of rounds would be
random: with 20 rows, the log loss was 1.5 times that of 200 rounds (geometric mean of two splits of
iris and two of wine)."""

MAX_REFITTED = 50_000
"""With more rows, the trees of the training rows are kept, because a second fit would double the
time, and the validation rows would add little."""


MANY_VALUES = 5_000_000
"""With fewer values than this, one thread is used. OpenMP threads synchronise several times for
each split of a tree and for each tree that predicts, and each time they wait for the slowest one:
on two busy cores, 20 rounds of 1,800 x 64 values and ten labels took 50 s with two threads and 4.6
s with one, and 20,000 x 30 values took 16 and 1.3 s. The trees are the same."""


class Boosting(Estimator):
    """Boosted trees. The sum of their leaves is the log-odds of each label, or a value."""

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        with _threads_for(x):
            return super().answers(x)

    def staged(self, x: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The predictions for features after each round, in the form of `answers`."""
        if self.n_labels is None:
            for values in self.estimator.staged_predict(x):
                yield np.asarray(values, np.float32)
        else:
            for found in self.estimator.staged_predict_proba(x):
                yield spread(found, self.estimator.classes_, self.n_labels)


def fit_boosting(job: TrainingJob) -> Fitted:
    """Fit scikit-learn's gradient boosting (Friedman 2001, Greedy Function Approximation).

    A round adds one tree, or one for each of several labels. Training stops when the loss of the
    validation rows has not fallen for `patience` rounds, and the rounds up to the lowest loss are
    kept. Without patience, or with few validation rows, all rounds are kept. If the validation rows
    may be used for fitting (`TrainingJob.refit`), the trees are finally fitted to all rows, with
    the same number of rounds. If there are few rows, the number of rounds is chosen by five-fold
    cross-validation.
    """
    with _threads_for(job.train.x):
        return _boosting(job)


def _threads_for(x: NDArray[Any]) -> AbstractContextManager[Any]:
    """Use one thread if there are few values, and otherwise all."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(
        1 if x.size < MANY_VALUES else None, user_api="openmp"
    )
    return limits


def _boosting(job: TrainingJob) -> Fitted:
    if not job.refit or job.validation is None or job.settings.patience is None:
        return _ended(job)
    rows = job.train.joined(job.validation)
    fewest = 2 if job.n_labels is None else np.unique(rows.y, return_counts=True)[1].min()
    part_of = parts_by_answer(job.settings, rows.y, FOLDS, rows.group)
    is_able = fewest > 1 and all(len(np.unique(rows.y[part_of != i])) > 1 for i in range(FOLDS))
    is_able &= len(np.unique(part_of)) == FOLDS
    if len(rows.y) * (job.n_labels or 1) < FEW_ANSWERS and is_able:
        return _by_folds(job, rows, part_of)
    fitted = _ended(job)
    if len(rows.y) > MAX_REFITTED or fitted.judged is None:
        return fitted
    n_rounds = len(fitted.body.estimator._predictors)  # type: ignore[attr-defined]
    note = f"{fitted.note}; then fitted to these too"
    again = _fitted(_boosted(job, rows, n_rounds), note, fitted.judged)
    return replace(again, at_edge=fitted.at_edge)


def _ended(job: TrainingJob) -> Fitted:
    """Fit to the training rows only, with early stopping if there are enough validation rows."""
    watched, settings = _watched(job), job.settings
    n_rounds = settings.rounds or (UNWATCHED if watched is None else _watched_rounds(job.n_labels))
    body = _boosted(job, job.train, n_rounds, watched)
    if watched is None:
        return _fitted(body)
    n_made = body.estimator.n_iter_
    n_kept, judged = _best_round(body, watched)
    body.estimator._predictors = body.estimator._predictors[:n_kept]
    note = f"{n_kept} of {n_made} rounds, chosen on the validation rows"
    return replace(_fitted(body, note, judged), at_edge=_at_edge(n_kept, n_rounds))


def most_trees(n_rows: int, n_held: int, n_labels: int, *, refit: bool) -> int:
    """The maximum number of trees of a fit with `n_rows` training and `n_held` validation rows.
    `n_labels` is 1 for numbers, and `refit` is as in a job."""
    per_round = n_labels if n_labels > 2 else 1
    if refit and (n_rows + n_held) * n_labels < FEW_ANSWERS:
        return (FOLDS + 1) * BY_FOLDS * per_round
    n_rounds = UNWATCHED if n_held < MIN_WATCHED else _watched_rounds(n_labels)
    is_refitted = refit and n_held >= MIN_WATCHED and n_rows + n_held <= MAX_REFITTED
    return (2 if is_refitted else 1) * n_rounds * per_round


def _watched_rounds(n_labels: int | None) -> int:
    return min(WATCHED, max(FEWEST_ROUNDS, MOST_TREES // (n_labels or 1)))


def _by_folds(job: TrainingJob, rows: Examples, part_of: NDArray[np.int64]) -> Fitted:
    """Fit to all rows, with the number of rounds that has the lowest loss in cross-validation. Each
    row is also predicted by trees that were not fitted to it, after the number of rounds that is
    best on the other folds."""
    n_rounds, n = job.settings.rounds or BY_FOLDS, len(rows.y)
    losses, stages = np.empty((FOLDS, n_rounds)), list[list[NDArray[np.float32]]]()
    for part in range(FOLDS):
        own = rows.take(part_of == part)
        body = _boosted(job, rows.take(part_of != part), n_rounds, own)
        stages.append(list(body.staged(features(own.x))))
        found = [row_losses(answers, own.y) @ own.weights for answers in stages[-1]]
        losses[part] = np.r_[found, np.full(n_rounds - len(found), found[-1])]
    cross = np.empty((n, *stages[0][0].shape[1:]), np.float32)
    for part, answers in enumerate(stages):
        chosen = int((losses.sum(axis=0) - losses[part]).argmin())
        cross[part_of == part] = answers[min(chosen, len(answers) - 1)]
    n_kept = int(losses.sum(axis=0).argmin()) + 1
    body = _boosted(job, rows, n_kept)
    note = f"{n_kept} rounds, chosen by {FOLDS} folds; fitted to training and validation rows"
    of_validation = cross[len(job.train.y) :]
    fitted = replace(_fitted(body, note, of_validation), at_edge=_at_edge(n_kept, n_rounds))
    return replace(fitted, cross=CrossAnswers(rows, part_of, cross))


def _at_edge(n_kept: int, n_rounds: int) -> tuple[str, ...]:
    """`Fitted.at_edge` if the loss was lowest after all rounds."""
    return (f"rounds {n_rounds}, the most that were tried",) if n_kept == n_rounds else ()


def _boosted(
    job: TrainingJob, rows: Examples, n_rounds: int, watched: Examples | None = None
) -> Boosting:
    """Fit trees to some rows, with a maximum number of rounds and early stopping on the monitored
    rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings, n_labels = job.settings, job.n_labels
    kind = HistGradientBoostingRegressor if n_labels is None else HistGradientBoostingClassifier
    estimator = kind(
        learning_rate=settings.learning_rate,
        max_iter=n_rounds,
        max_leaf_nodes=settings.max_leaves,
        max_bins=_bins(rows.x),
        min_samples_leaf=settings.min_leaf or (MIN_LEAF_OF_FEW if len(rows.y) < FEW else MIN_LEAF),
        l2_regularization=settings.leaf_penalty,
        max_features=settings.column_share,
        early_stopping=watched is not None,
        n_iter_no_change=settings.patience or 1,
        tol=0.0,
        random_state=settings.seed,
    )
    known = _of_known_labels(watched, rows, n_labels)
    estimator.fit(features(rows.x), rows.y, rows.weight, **known)
    return Boosting(estimator, n_labels)


def _bins(x: NDArray[Any]) -> int:
    """The maximum number of bins that the columns need."""
    most = 2
    for column in features(x).T:
        if most == MOST_BINS:
            break
        most = max(most, min(MOST_BINS, len(np.unique(column[~np.isnan(column)]))))
    return most


def _fitted(
    body: Boosting, note: str | None = None, judged: NDArray[np.float32] | None = None
) -> Fitted:
    n_nodes = sum(len(tree.nodes) for trees in body.estimator._predictors for tree in trees)
    return Fitted("boosting", body, n_nodes, note=note, judged=judged)


def _watched(job: TrainingJob) -> Examples | None:
    """The validation rows for early stopping. None if there are too few whose labels occur in
    training."""
    rows = job.validation
    if rows is None or job.settings.patience is None:
        return None
    n_known = len(rows.y) if job.n_labels is None else int(np.isin(rows.y, job.train.y).sum())
    return rows if n_known >= MIN_WATCHED else None


def _of_known_labels(
    watched: Examples | None, train: Examples, n_labels: int | None
) -> dict[str, Any]:
    """The validation rows in scikit-learn's form, without labels that do not occur in training."""
    if watched is None:
        return {}
    if n_labels is not None:
        watched = watched.take(np.isin(watched.y, train.y))
    weights = None if train.weight is None and watched.weight is None else watched.weights
    return {"X_val": features(watched.x), "y_val": watched.y, "sample_weight_val": weights}


def _best_round(body: Boosting, rows: Examples) -> tuple[int, NDArray[np.float32]]:
    """The number of rounds with the lowest loss of the rows, and the rows' predictions, each after
    the number of rounds that is best on the other parts."""
    n, x = len(rows.y), features(rows.x)
    choice = Choice(rows, (n,) if body.n_labels is None else (n, body.n_labels))
    best, lowest = 1, np.inf
    for n_rounds, answers in enumerate(body.staged(x), 1):
        choice.offer(answers, row_losses(answers, rows.y))
        loss = loss_of(answers, rows.y, rows.weight)
        if loss < lowest:
            best, lowest = n_rounds, loss
    return best, choice.answers
