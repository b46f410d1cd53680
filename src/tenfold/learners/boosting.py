"""The learner `boosting`: small trees in turn, each fitted to what those before it left."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.inputs.features import features
from tenfold.learners.choice import Choice, row_losses
from tenfold.learners.classical import Estimator, loss_of, spread
from tenfold.learners.job import Examples, Fitted, TrainingJob

MIN_LEAF = 20
"""Fewest training rows in a leaf, where the settings leave it open."""


WATCHED, UNWATCHED = 1_000, 200
"""Rounds at most, with and without validation rows to end them."""

MIN_WATCHED = 50
"""Fewer validation rows than these end rounds by chance: with 20 the log loss was 1.5 times that of
200 rounds (geometric mean of two splits of iris and two of wine)."""


class Boosting(Estimator):
    """Boosted trees: their leaves add up to log-odds of each label, or to a value."""

    def staged(self, x: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The answers to features after each round, as those of `answers`."""
        if self.n_labels is None:
            for values in self.estimator.staged_predict(x):
                yield np.asarray(values, np.float32)
        else:
            for found in self.estimator.staged_predict_proba(x):
                yield spread(found, self.estimator.classes_, self.n_labels)


def fit_boosting(job: TrainingJob) -> Fitted:
    """Fit gradient boosting (Friedman 2001, Greedy Function Approximation) of scikit-learn.

    A round adds one tree, of several labels one for each. Rounds end when `patience` of them have
    not lowered the loss of the validation rows, and those up to the lowest one are kept; without
    patience, or with few validation rows, all of them are.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, settings, n_labels = job.train, job.settings, job.n_labels
    watched = _watched(job)
    kind = HistGradientBoostingRegressor if n_labels is None else HistGradientBoostingClassifier
    estimator = kind(
        learning_rate=settings.learning_rate,
        max_iter=settings.rounds or (UNWATCHED if watched is None else WATCHED),
        max_leaf_nodes=settings.max_leaves,
        min_samples_leaf=settings.min_leaf or MIN_LEAF,
        l2_regularization=settings.leaf_penalty,
        max_features=settings.column_share,
        early_stopping=watched is not None,
        n_iter_no_change=settings.patience or 1,
        tol=0.0,
        random_state=settings.seed,
    )
    known = _of_known_labels(watched, train, n_labels)
    estimator.fit(features(train.x), train.y, train.weight, **known)
    body, judged, note = Boosting(estimator, n_labels), None, None
    if watched is not None:
        n_made = estimator.n_iter_
        n_kept, judged = _best_round(body, watched)
        estimator._predictors = estimator._predictors[:n_kept]
        note = f"{n_kept} of {n_made} rounds, chosen on the validation rows"
    n_nodes = sum(len(tree.nodes) for trees in estimator._predictors for tree in trees)
    return Fitted("boosting", body, n_nodes, note=note, judged=judged)


def _watched(job: TrainingJob) -> Examples | None:
    """The validation rows, where they end the rounds: enough of them have labels that training
    has."""
    rows = job.validation
    if rows is None or job.settings.patience is None:
        return None
    n_known = len(rows.y) if job.n_labels is None else int(np.isin(rows.y, job.train.y).sum())
    return rows if n_known >= MIN_WATCHED else None


def _of_known_labels(
    watched: Examples | None, train: Examples, n_labels: int | None
) -> dict[str, Any]:
    """The validation rows as scikit-learn takes them, without labels that training never had."""
    if watched is None:
        return {}
    if n_labels is not None:
        watched = watched.take(np.isin(watched.y, train.y))
    weights = None if train.weight is None and watched.weight is None else watched.weights
    return {"X_val": features(watched.x), "y_val": watched.y, "sample_weight_val": weights}


def _best_round(body: Boosting, rows: Examples) -> tuple[int, NDArray[np.float32]]:
    """After how many rounds the loss of the rows is lowest, and their answers, each after the
    number of rounds that the others choose."""
    n, x = len(rows.y), features(rows.x)
    choice = Choice(rows, (n,) if body.n_labels is None else (n, body.n_labels))
    best, lowest = 1, np.inf
    for n_rounds, answers in enumerate(body.staged(x), 1):
        choice.offer(answers, row_losses(answers, rows.y))
        loss = loss_of(answers, rows.y, rows.weight)
        if loss < lowest:
            best, lowest = n_rounds, loss
    return best, choice.answers
