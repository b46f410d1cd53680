"""Fit a model to an array of features, as the scikit-learn estimators do, without a dataset.

The candidates of `auto` all see the same features, and rows have weights. Test rows never come
here.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import BuiltModel, built_prepared, fit_learner, fit_prepared
from tenfold.build.candidates import Judges, as_tried
from tenfold.build.chosen import Chosen, better_vote
from tenfold.build.problem import Prepared
from tenfold.build.table_plan import FEW, FOLDS, Shape, planned
from tenfold.core.progress import Listener
from tenfold.core.settings import AUTO, RECIPES, Settings
from tenfold.learners import Fitted, check_learner, is_classification
from tenfold.learners.choice import parts_by_answer, validation_parts

MIN_VALIDATION = 10
"""With fewer validation rows than this, the choice of the best epoch would be random. All rows are
then used for training."""


def held_out(y: NDArray[Any], settings: Settings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw the positions of training rows and of validation rows by the seed, stratified.

    Every class keeps at least one training row. There are no validation rows if there would be
    fewer than `MIN_VALIDATION`.
    """
    n_held = int(len(y) * settings.validation_size)
    order = np.random.default_rng(settings.seed).permutation(len(y))
    if n_held < MIN_VALIDATION:
        return np.arange(len(y)), order[:0]
    held = np.zeros(len(y), bool)
    held[((np.arange(n_held) + 0.5) * len(y) / n_held).astype(np.intp)] = True
    if is_classification(y):
        order = order[np.argsort(y[order], kind="stable")]
        held[np.unique(y[order], return_index=True)[1]] = False
    return np.sort(order[~held]), np.sort(order[held])


def fit_features(prepared: Prepared, settings: Settings) -> BuiltModel:
    """Fit the settings' learner, or with `auto` the one that is chosen, and make its model.

    Raises:
      SettingsError: The learner is for another task, or for pictures.
    """
    check_learner(settings, prepared.task.kind, prepared.encoding.accepted)
    if settings.learner == AUTO:
        return _fit_chosen(prepared, settings)
    return fit_prepared(prepared, _with_learner(settings, settings.learner))


def _with_learner(settings: Settings, learner: str) -> Settings:
    """The settings with another learner and its defaults. The settings of a network are kept."""
    if learner == "network":
        return settings.model_copy(update={"learner": learner})
    return settings.model_copy(update={**RECIPES["default"][learner], "learner": learner})


def _fit_chosen(prepared: Prepared, settings: Settings) -> BuiltModel:
    """The best learner or a vote of several, chosen as `choose.fit_chosen` does it for a table."""
    train, validation = prepared.train, prepared.validation
    n_labels, n_columns = len(prepared.task.labels), train.x.shape[1]
    n_held = 0 if validation is None else len(validation.y)
    shape = Shape(
        len(train.y), n_held, n_columns, n_columns, n_labels, settings.validation_size, False
    )
    is_by_folds = validation is None or len(train.y) < FEW
    plan = planned(prepared.task.kind, shape, FOLDS if is_by_folds else 0, settings.minutes)
    candidates = [_with_learner(settings, name) for name in plan.seconds]
    if validation is None or is_by_folds:
        chosen = _by_folds(prepared, candidates)
        fits = {i: _fit(prepared, candidates[i]) for i in chosen.weights}
    else:
        chosen, of_all = _by_validation(prepared, candidates)
        fits = {i: of_all[i] for i in chosen.weights}
    members = [(prepared, fitted) for fitted in fits.values()]
    rows, fitted, tried = chosen.together(members)
    return replace(built_prepared(fitted, rows, settings), candidates=tried, plan=plan)


def _by_folds(prepared: Prepared, candidates: Sequence[Settings]) -> Chosen:
    rows = prepared.train
    part_of = parts_by_answer(candidates[0], rows.y, FOLDS)
    name = f"{FOLDS} folds of the training rows"
    judges = Judges(name, rows.y, part_of, True, None, rows.weight)
    tried = [
        as_tried(one.learner, judges, None, partial(_answers_by_folds, prepared, one, part_of))
        for one in candidates
    ]
    return Chosen(tried, judges, better_vote(tried, judges))


def _by_validation(
    prepared: Prepared, candidates: Sequence[Settings]
) -> tuple[Chosen, list[Fitted]]:
    rows = prepared.validation
    assert rows is not None
    parts = validation_parts(len(rows.y))
    judges = Judges("the validation rows", rows.y, parts, False, None, rows.weight)
    fits = list[Fitted]()

    def answered(settings: Settings) -> NDArray[np.float32]:
        fits.append(_fit(prepared, settings))
        judged = fits[-1].judged
        return fits[-1].answers(rows.x) if judged is None else judged

    tried = [as_tried(one.learner, judges, None, partial(answered, one)) for one in candidates]
    return Chosen(tried, judges, better_vote(tried, judges)), fits


def _answers_by_folds(
    prepared: Prepared, settings: Settings, part_of: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The prediction for each training row, by a fit without its part. It is NaN if that fit has a
    single class."""
    rows, labels = prepared.train, prepared.task.labels
    shape = (len(rows.y), len(labels)) if labels else (len(rows.y),)
    answers = np.full(shape, np.nan, np.float32)
    for part in np.unique(part_of):
        own, others = part_of == part, rows.take(part_of != part)
        train, held = held_out(others.y, settings)
        few = others.take(train)
        if len(np.unique(few.y)) < (2 if labels and settings.learner != "baseline" else 1):
            continue
        watched = others.take(held) if held.size else None
        fitted = _fit(replace(prepared, train=few, validation=watched), settings)
        answers[own] = fitted.answers(rows.x[own])
    return answers


def _fit(prepared: Prepared, settings: Settings) -> Fitted:
    fitted = fit_learner(prepared, settings, Listener())
    if fitted.interrupted:
        raise KeyboardInterrupt
    return fitted
