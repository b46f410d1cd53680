"""The learners `forest`, `logistic`, `linear` and `baseline`."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.contract import Settings
from tenfold.learners.fitted import Fitted, Watcher, features
from tenfold.training import Examples


@dataclass(frozen=True, eq=False)
class Forest:
    """A fitted random forest of scikit-learn; `n_labels` is None for regression."""

    estimator: Any
    n_labels: int | None

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        if self.n_labels is None:
            return np.asarray(self.estimator.predict(features(x)), np.float32)
        found = self.estimator.predict_proba(features(x))
        return spread(found, self.estimator.classes_, self.n_labels)


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted linear model of scikit-learn; `n_labels` is None for regression."""

    estimator: Any
    n_labels: int | None

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        if self.n_labels is None:
            return np.asarray(self.estimator.predict(features(x)), np.float32)
        found = self.estimator.predict_proba(features(x))
        return spread(found, self.estimator.classes_, self.n_labels)


@dataclass(frozen=True, eq=False)
class Constant:
    """The same answer for every row: `row` float32, probabilities (n_labels,) or a value ()."""

    row: NDArray[np.float32]

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return np.repeat(self.row[None], len(x), axis=0)


def spread(
    probabilities: NDArray[Any], classes: NDArray[np.int64], n_labels: int
) -> NDArray[np.float32]:
    """Probabilities (n, n_labels): 0 for labels that had no training row."""
    answers = np.zeros((len(probabilities), n_labels), np.float32)
    answers[:, classes] = probabilities
    return answers


def fit_forest(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int | None,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """Fit a random forest (Breiman 2001, doi:10.1023/A:1010933404324) of scikit-learn.

    Its features are float32 from the start, so its thresholds separate float32 values exactly.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    options: dict[str, Any] = dict(
        n_estimators=settings.n_trees,
        min_samples_leaf=settings.min_leaf,
        random_state=settings.seed,
        n_jobs=-1,
    )
    forest = (
        # A third of the columns per split: Breiman's advice for regression.
        RandomForestRegressor(max_features=1 / 3, **options)
        if n_labels is None
        else RandomForestClassifier(**options)
    )
    forest.fit(features(train.x), train.y, train.weight)
    forest.n_jobs = 1  # threads add trees up in any order, which moves the last bits of an answer
    n_nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return Fitted("forest", Forest(forest, n_labels), n_nodes)


def fit_logistic(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """Fit softmax regression with an L2 penalty.

    From the strongest penalty to the weakest, each fit starting where the one before ended, until
    the log loss of the validation rows grows. Without validation rows the penalty is 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x = features(train.x)
    model = LogisticRegression(max_iter=settings.max_steps, warm_start=True)

    def fit(penalty: float) -> Linear:
        model.C = 1 / penalty
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the note says it
            model.fit(x, train.y, train.weight)
        return Linear(_copy(model), n_labels)

    body, penalty = _choose_penalty(fit, validation, settings)
    note = f"L2 penalty {penalty:g}" + _why(validation, settings)
    if body.estimator.n_iter_.max() >= settings.max_steps:
        note += f"; stopped after {settings.max_steps} steps, before it settled"
    n_parameters = body.estimator.coef_.size + body.estimator.intercept_.size
    return Fitted("logistic", body, n_parameters, note=note)


def fit_linear(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: None,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """Fit ridge regression (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634).

    The penalty is chosen like that of `logistic`, by the squared error of the validation rows.
    """
    from sklearn.linear_model import Ridge

    # In float64: the normal equations square what is wrong with float32.
    x = features(train.x).astype(np.float64)

    def fit(penalty: float) -> Linear:
        return Linear(Ridge(alpha=penalty).fit(x, train.y, train.weight), None)

    body, penalty = _choose_penalty(fit, validation, settings)
    note = f"L2 penalty {penalty:g}" + _why(validation, settings)
    return Fitted("linear", body, body.estimator.coef_.size + 1, note=note)


def fit_last_value(train: Examples, column: int, mean: float, scale: float) -> Fitted:
    """The baseline of rows in the order of time: the value before, which stands in `column`.

    Args:
      train: Rows whose `column` is in the target's unit.
      column: Position of the value before.
      mean, scale: Of the target, which answers are standardised by.
    """
    from sklearn.linear_model import LinearRegression

    estimator = LinearRegression()
    estimator.coef_ = np.zeros(train.x.shape[1])
    estimator.coef_[column] = 1 / scale
    estimator.intercept_ = -mean / scale
    return Fitted("baseline", Linear(estimator, None), 0, note="The last value is the answer")


def fit_baseline(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int | None,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """The share of each label among the training rows, or their mean."""
    if n_labels is None:
        row = np.asarray(np.average(train.y, weights=train.weight), np.float32)
    else:
        counts = np.bincount(train.y, train.weight, minlength=n_labels)
        row = (counts / counts.sum()).astype(np.float32)
    return Fitted("baseline", Constant(row), row.size)


PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001)


def _choose_penalty(
    fit: Any, validation: Examples | None, settings: Settings
) -> tuple[Linear, float]:
    """The first penalty after which the loss of the validation rows grows."""
    if settings.penalty is not None or validation is None:
        penalty = settings.penalty if settings.penalty is not None else 1.0
        return fit(penalty), penalty
    best: tuple[float, Linear, float] | None = None
    for penalty in PENALTIES:
        body = fit(penalty)
        loss = loss_of(body.answers(validation.x), validation.y, validation.weight)
        if best is not None and loss >= best[0]:
            break
        best = loss, body, penalty
    assert best is not None
    return best[1], best[2]


def loss_of(
    answers: NDArray[np.float32], y: NDArray[Any], weight: NDArray[np.float32] | None
) -> float:
    """Mean log loss of probabilities (n, n_labels), or mean squared error of values (n,)."""
    if answers.ndim == 1:
        return float(np.average((answers - y) ** 2, weights=weight))
    likelihood = np.clip(answers[np.arange(len(y)), y].astype(np.float64), 1e-7, 1)
    return float(np.average(-np.log(likelihood), weights=weight))


def _why(validation: Examples | None, settings: Settings) -> str:
    chosen = settings.penalty is None and validation is not None
    return ", chosen on the validation rows" if chosen else ""


def _copy(model: Any) -> Any:
    """A model whose numbers the next warm start does not touch."""
    import copy

    return copy.deepcopy(model)
