"""The learner `transfer`: softmax regression on features of photos and of their views.

With a few dozen photos there are too few validation rows for a choice or for calibration. Both then
use predictions for all rows by cross-validation.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tenfold.learners.choice import Choice, parts_by_answer, row_losses
from tenfold.learners.classical import Penalised, at_edge, fit_softmax, softmax_regression
from tenfold.learners.job import CrossAnswers, Examples, Fitted, TrainingJob
from tenfold.learners.views import NONE, choices_of_views, with_views

Views = tuple[int, ...]
"""Numbers of views, in `learners.views.VIEWS`."""

FOLDS = 5
"""Number of folds. Each fold is predicted by a fit to the others."""

IN_ALL_FITS = -1
"""The fold of rows that are always fitted to and never predicted."""

ENOUGH_TO_CALIBRATE = 1_000
"""With fewer validation rows than this, predictions by cross-validation calibrate."""

MAX_CROSSED = 2_000
"""With more training and validation rows than this, the validation rows choose the penalty, because
cross-validation of each penalty would take minutes."""

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def fit_transfer(job: TrainingJob) -> Fitted:
    """Fit softmax regression with an L2 penalty to features of photos (n, 1280).

    With fewer than 1,000 validation rows, five-fold cross-validation chooses the penalty, then
    whether mirrored or cropped views of the photos are fitted to, and its predictions calibrate.
    The validation rows are rows like the others if they may be fitted to (`TrainingJob.refit`) and
    there are at most 2,000 rows. With more rows the validation rows choose the penalty.
    """
    train, held = job.train, job.validation
    if held is None or len(held.y) >= ENOUGH_TO_CALIBRATE:
        return _fit_by_validation(job)
    is_small = len(train.y) + len(held.y) <= MAX_CROSSED
    is_joined = is_small and job.refit
    rows = train.joined(held) if is_joined else train
    fold_of = _folds(job, rows)
    if fold_of is None:
        return _fit_by_validation(job)
    tried = _CrossValidation(job, rows, fold_of)
    choices = _choices(job)
    given, judged, edge = job.settings.penalty, None, tuple[str, ...]()
    if given is not None:
        penalty, note = given, f"L2 penalty {given:g}"
    elif is_small:
        penalty, edge = _choose_penalty(tried, next(iter(choices.values())))
        note = f"L2 penalty {penalty:g}, chosen by cross-validation"
    else:
        _, penalty, note, judged, edge = fit_softmax(job)
    views, about_views = _choose_views(tried, penalty, choices, job.settings.flip)
    if is_joined:
        judged = tried.predictions()[len(train.y) :]
    body = softmax_regression(job, with_views(rows, views), penalty)
    found = Penalised(body, penalty, note + about_views, judged, edge)
    return _fitted(found, tried.cross_answers())


def _fit_by_validation(job: TrainingJob) -> Fitted:
    """Fit as `logistic` is fitted, with the first of the views."""
    body, penalty, note, judged, edge = fit_softmax(job)
    name, views = next(iter(_choices(job).items()))
    if views:
        body = softmax_regression(job, with_views(job.train, views), penalty)
        note += f"; fitted to {name} copies of the photos too"
    held = job.validation
    if held is not None and len(held.y) < ENOUGH_TO_CALIBRATE:
        note += f"; calibrated on only {len(held.y)} validation photos, because fewer than two "
        note += "labels have two training photos"
    return _fitted(Penalised(body, penalty, note, judged, edge), None)


def _fitted(found: Penalised, cross: CrossAnswers | None) -> Fitted:
    weights = found.body.estimator
    return Fitted(
        "transfer",
        found.body,
        weights.coef_.size + weights.intercept_.size,
        note=found.note,
        judged=found.judged,
        rows_at_once=1,
        cross=cross,
        at_edge=found.at_edge,
    )


def _choices(job: TrainingJob) -> Mapping[str, Views]:
    """The views that may be fitted to, by name."""
    return {NONE: ()} if job.train.views is None else choices_of_views(job.settings.flip)


def _folds(job: TrainingJob, rows: Examples) -> NDArray[np.int64] | None:
    """The fold of each row, with copies of a photo in the same fold, or `IN_ALL_FITS` for a label
    that has a single photo. None if fewer than two labels have two photos."""
    firsts = slice(None) if rows.group is None else np.unique(rows.group, return_index=True)[1]
    is_enough = np.bincount(rows.y[firsts], minlength=job.n_labels or 0) >= 2
    if is_enough.sum() < 2:
        return None
    is_held_out = is_enough[rows.y]
    some = rows.take(is_held_out)
    fold_of = np.full(len(rows.y), IN_ALL_FITS)
    fold_of[is_held_out] = parts_by_answer(job.settings, some.y, FOLDS, some.group)
    return fold_of


class _CrossValidation:
    """Candidates, each a penalty and views, and what they predict for the folds of some rows."""

    def __init__(self, job: TrainingJob, rows: Examples, fold_of: NDArray[np.int64]) -> None:
        self._job, self._rows, self._fold_of = job, rows, fold_of
        self._is_held_out = fold_of != IN_ALL_FITS
        self._held_out = rows._replace(views=None).take(self._is_held_out)
        self._n_labels = job.n_labels or 1
        self._choice = Choice(self._held_out, (len(self._held_out.y), self._n_labels))
        self._losses = dict[tuple[float, Views], float]()

    def loss(self, penalty: float, views: Views) -> float:
        """The mean log loss of a candidate, which is fitted if it is new."""
        if (penalty, views) not in self._losses:
            predicted = self._predict(penalty, views)[self._is_held_out]
            losses = row_losses(predicted, self._held_out.y)
            self._choice.offer(predicted, losses)
            mean = float(np.average(losses, weights=self._held_out.weight))
            self._losses[penalty, views] = mean
        return self._losses[penalty, views]

    def _predict(self, penalty: float, views: Views) -> NDArray[np.float32]:
        predicted = np.zeros((len(self._rows.y), self._n_labels), np.float32)
        for fold in np.unique(self._fold_of[self._is_held_out]):
            own = self._fold_of == fold
            others = with_views(self._rows.take(~own), views)
            fit = softmax_regression(self._job, others, penalty)
            predicted[own] = fit.answers(self._rows.x[own])
        return predicted

    def predictions(self) -> NDArray[np.float32]:
        """The prediction for each row by the candidate that rows without it choose, and zeros for
        rows in all fits: a fit without them would not know their label."""
        predicted = np.zeros((len(self._rows.y), self._n_labels), np.float32)
        predicted[self._is_held_out] = self._choice.answers
        return predicted

    def cross_answers(self) -> CrossAnswers:
        return CrossAnswers(self._held_out, self._fold_of[self._is_held_out], self._choice.answers)


def _choose_penalty(tried: _CrossValidation, views: Views) -> tuple[float, tuple[str, ...]]:
    """The first penalty, from strong to weak, after which the loss rises, and `Fitted.at_edge`."""
    best, losses = PENALTIES[0], [tried.loss(PENALTIES[0], views)]
    for penalty in PENALTIES[1:]:
        losses.append(tried.loss(penalty, views))
        if losses[-1] >= losses[-2]:
            break
        best = penalty
    return best, at_edge(best, losses, PENALTIES)


def _choose_views(
    tried: _CrossValidation, penalty: float, choices: Mapping[str, Views], flip: bool | None
) -> tuple[Views, str]:
    """The views with the lowest loss, and a note."""
    losses = {name: tried.loss(penalty, views) for name, views in choices.items()}
    best = min(losses, key=lambda name: losses[name])
    if len(choices) == 1:
        return choices[best], ""
    helps = "copies of the photos do not lower the"
    if choices[best]:
        helps = f"fitted to {best} copies of the photos too, by the"
    told = ", ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
    wish = "" if flip is None else f" (as requested, {'always' if flip else 'never'} mirrored)"
    return choices[best], f"; {helps} log loss of held-out rows: {told}{wish}"
