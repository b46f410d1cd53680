"""The learners `forest`, `logistic`, `linear` and `baseline`."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.task import Regression, Task
from tenfold.inputs.features import features
from tenfold.learners.choice import Choice, row_losses
from tenfold.learners.job import Examples, Fitted, Purpose, TrainingJob, stream

MANY_LABELS = "The number of unique classes is greater than 50%"
"""The beginning of a warning of scikit-learn. The audit reports the same fact in other words."""


@dataclass(frozen=True, eq=False)
class Estimator:
    """A fitted estimator of scikit-learn. `n_labels` is None for regression."""

    estimator: Any
    n_labels: int | None

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        if self.n_labels is None:
            return np.asarray(self.estimator.predict(features(x)), np.float32)
        found = self.estimator.predict_proba(features(x))
        return spread(found, self.estimator.classes_, self.n_labels)


class Forest(Estimator):
    """A random forest."""


class Linear(Estimator):
    """A weighted sum of the columns."""


@dataclass(frozen=True, eq=False)
class Constant:
    """The same prediction for every row: `row` float32, probabilities (n_labels,) or a value ()."""

    row: NDArray[np.float32]

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return np.repeat(self.row[None], len(x), axis=0)


def spread(
    probabilities: NDArray[Any], classes: NDArray[np.int64], n_labels: int
) -> NDArray[np.float32]:
    """Probabilities (n, n_labels), with 0 for labels that have no training row."""
    answers = np.zeros((len(probabilities), n_labels), np.float32)
    answers[:, classes] = probabilities
    return answers


def fit_forest(job: TrainingJob) -> Fitted:
    """Fit scikit-learn's random forest (Breiman 2001, doi:10.1023/A:1010933404324).

    Its features are float32 from the start, so that its thresholds separate float32 values exactly.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    train, settings, n_labels = job.train, job.settings, job.n_labels
    options: dict[str, Any] = dict(
        n_estimators=settings.n_trees,
        # 2 for regression: this halves the file, with an R2 of 0.806 instead of 0.808 on
        # validation rows of California housing (mean of 3 seeds).
        min_samples_leaf=settings.min_leaf or (2 if n_labels is None else 1),
        random_state=settings.seed,
        n_jobs=-1,
    )
    forest = (
        # A third of the columns per split, as Breiman advises for regression.
        RandomForestRegressor(max_features=1 / 3, **options)
        if n_labels is None
        # Pictures are not resampled: 96.3% of MNIST's validation rows instead of 95.6%
        # (20,000 training rows, mean of 2 seeds).
        else RandomForestClassifier(bootstrap=train.x.dtype != np.uint8, **options)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", MANY_LABELS)
        forest.fit(features(train.x), train.y, train.weight)
    # Several threads would add trees in a random order, which changes the last bits.
    forest.n_jobs = 1
    n_nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return Fitted("forest", Forest(forest, n_labels), n_nodes)


def fit_logistic(job: TrainingJob) -> Fitted:
    """Fit softmax regression with an L2 penalty.

    Penalties are tried from strong to weak, until the log loss of the validation rows rises. The
    last one before is used. The choice uses at most 10,000 training rows. Without validation rows
    the penalty is 1.
    """
    body, _, note, judged, at_edge = fit_softmax(job)
    n_parameters = body.estimator.coef_.size + body.estimator.intercept_.size
    return Fitted("logistic", body, n_parameters, note=note, judged=judged, at_edge=at_edge)


def fit_softmax(job: TrainingJob) -> "Penalised":
    """Fit softmax regression to all rows with the given or chosen penalty."""
    fitted = _fit_penalised(partial(softmax_regression, job), job)
    if fitted.body.estimator.n_iter_.max() >= job.settings.max_steps:
        steps = f"; stopped after {job.settings.max_steps} steps, before it settled"
        fitted = fitted._replace(note=fitted.note + steps)
    return fitted


def softmax_regression(job: TrainingJob, rows: Examples, penalty: float) -> Linear:
    """Fit softmax regression to some rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=1 / penalty, max_iter=job.settings.max_steps)
    # Only one thread is used, because each step is so short that two threads, which wait for each
    # other, take 27 times as long (10,000 digits, two cores).
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the note says it
        warnings.filterwarnings("ignore", MANY_LABELS)
        model.fit(rows.x, rows.y, rows.weight)
    # The same numbers in float64: of two labels, one has 1 - p, which in float32 has lost all but
    # two digits where p is 0.99999. The graph has a softmax and keeps them.
    model.coef_ = model.coef_.astype(np.float64)
    model.intercept_ = model.intercept_.astype(np.float64)
    return Linear(model, job.n_labels)


def fit_linear(job: TrainingJob) -> Fitted:
    """Fit ridge regression (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634).

    The penalty is chosen as for `logistic`, by the squared error of the validation rows.
    """
    from sklearn.linear_model import Ridge

    def fit(rows: Examples, penalty: float) -> Linear:
        # The fit uses float64, because the normal equations square the errors of float32.
        wide = rows.x.astype(np.float64)
        return Linear(Ridge(alpha=penalty).fit(wide, rows.y, rows.weight), None)

    body, _, note, judged, at_edge = _fit_penalised(fit, job)
    n_parameters = body.estimator.coef_.size + 1
    return Fitted("linear", body, n_parameters, note=note, judged=judged, at_edge=at_edge)


def fit_last_value(train: Examples, column: int, task: Task) -> Fitted:
    """The baseline for rows in the order of time: the previous value, which is in `column` in the
    target's unit. Predictions are standardised like the task."""
    from sklearn.linear_model import LinearRegression

    assert isinstance(task, Regression) and task.mean is not None and task.scale is not None
    estimator = LinearRegression()
    estimator.coef_ = np.zeros(train.x.shape[1])
    estimator.coef_[column] = 1 / task.scale
    estimator.intercept_ = -task.mean / task.scale
    return Fitted("baseline", Linear(estimator, None), 0, note="The last value is the answer")


def fit_baseline(job: TrainingJob) -> Fitted:
    """Predict the share of each label among the training rows, or the mean of their targets."""
    train, n_labels = job.train, job.n_labels
    if n_labels is None:
        row = np.asarray(np.average(train.y, weights=train.weight), np.float32)
    else:
        counts = np.bincount(train.y, train.weight, minlength=n_labels)
        row = (counts / counts.sum()).astype(np.float32)
    return Fitted("baseline", Constant(row), row.size)


PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001)

MAX_CHOOSING = 10_000
"""Maximum number of training rows with which a penalty is chosen. The penalty is the precision of a
prior on the weights, which does not depend on the number of rows."""


class Penalised(NamedTuple):
    """Fit to all rows with the given or chosen penalty. Returns the fit, a note about it and, if
    the penalty was chosen, predictions for the validation rows by candidates chosen without them,
    and `Fitted.at_edge`."""

    body: Linear
    penalty: float
    note: str
    judged: NDArray[np.float32] | None
    at_edge: tuple[str, ...] = ()


def _fit_penalised(fit: Callable[[Examples, float], Linear], job: TrainingJob) -> Penalised:
    """Fit with the penalty of the settings, or with the one that is best on the validation rows."""
    validation, settings = job.validation, job.settings
    train = job.train._replace(x=features(job.train.x), views=None)
    if settings.penalty is not None or validation is None:
        penalty = 1.0 if settings.penalty is None else settings.penalty
        return Penalised(fit(train, penalty), penalty, f"L2 penalty {penalty:g}", None)
    few = train
    if len(train.y) > MAX_CHOOSING:
        rows = stream(settings, Purpose.CHOICE).permutation(len(train.y))[:MAX_CHOOSING]
        few = train.take(rows)
    shape = (len(validation.y),) if job.n_labels is None else (len(validation.y), job.n_labels)
    best, losses, choice = PENALTIES[0], [np.inf], Choice(validation, shape)
    for penalty in PENALTIES:
        answers = fit(few, penalty).answers(validation.x)
        choice.offer(answers, row_losses(answers, validation.y))
        losses.append(loss_of(answers, validation.y, validation.weight))
        if losses[-1] >= losses[-2]:
            break
        best = penalty
    note = f"L2 penalty {best:g}, chosen on the validation rows"
    return Penalised(fit(train, best), best, note, choice.answers, at_edge(best, losses[1:]))


WORTH, NOTHING_TO_GAIN = 0.01, 1e-3
"""Of a penalty at the end of the range nothing is said if its loss is within 1% of that of the next
penalty, because a further one would hardly change the model, or below 0.001."""


def at_edge(
    best: float, losses: Sequence[float], penalties: Sequence[float] = PENALTIES
) -> tuple[str, ...]:
    """`Fitted.at_edge` by the losses of the first of `penalties`, up to the first that is not
    better than the one before it."""
    ends = {penalties[0]: ("largest", losses[1:2]), penalties[-1]: ("smallest", losses[-2:-1])}
    which, beside = ends.get(best, ("", ()))
    least = min(losses)
    if not beside or least < NOTHING_TO_GAIN or beside[0] - least < WORTH * least:
        return ()
    return (f"penalty {best:g}, the {which} that was tried",)


def loss_of(
    answers: NDArray[np.floating[Any]], y: NDArray[Any], weight: NDArray[np.floating[Any]] | None
) -> float:
    """Mean log loss of probabilities (n, n_labels), or mean squared error of values (n,)."""
    return float(np.average(row_losses(answers, y), weights=weight))
