"""The scores of each kind of task, in one table for the whole wing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.task import Classification, Regression, TaskKind
from tenfold.core.text import in_unit, percent
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation.classification import Evaluation
from tenfold.evaluation.intervals import (
    Floats,
    Score,
    Subset,
    effective_size,
    ratios,
    unseen,
    wilson,
)
from tenfold.evaluation.regression import BaselineValues, RegressionEvaluation
from tenfold.model.predictions import Predictions, Values

AnyEvaluation = Evaluation | RegressionEvaluation
"""The evaluation of a model for either task. `task` tells which one it is."""


@dataclass(frozen=True)
class Measure:
    """How predictions for one kind of task are scored. Row scores (n,) are those that `row_scores`
    of the predictions returns.

    Attributes:
      score: The displayed name of the score that ranks models. `column` is its name in files.
      more_is_better: Whether the larger of two scores is the better one.
      shown: Formats a score with its interval, for people.
      number: Formats a number in the same unit, for people.
      error: The error on some rows: the share of wrong predictions, or the RMSE.
      largest: The largest possible difference of two row scores. None: there is no limit.
      of_rows: The score of a model (or the mean score of models with several seeds) from its row
        scores (or their mean), the true answers (n,), and the groups in which rows were drawn (n,),
        if any.
      evaluate: All scores, from the predictions for rows of a dataset, the task and the subset.
        `recall` and `temperature` are as in `Evaluation.of`.
    """

    score: Literal["accuracy", "RMSE"]
    column: str
    more_is_better: bool
    shown: Callable[[Score], str]
    number: Callable[[float], str]
    error: Callable[[Floats], float]
    largest: float | None
    of_rows: Callable[..., Score]
    evaluate: Callable[..., AnyEvaluation]


def _accuracy(row_scores: Floats, _: NDArray[Any], groups: RowNumbers | None = None) -> Score:
    if groups is None:
        return wilson(float(row_scores.sum()), len(row_scores))
    size = effective_size(row_scores, groups)
    return wilson(float(row_scores.mean()) * size, size)


def _evaluate_labels(
    answers: Predictions,
    data: Dataset,
    rows: RowNumbers,
    task: Classification,
    subset: Subset,
    **asked: Any,
) -> Evaluation:
    return Evaluation.of(data.y[rows], answers, positive=task.positive, subset=subset, **asked)


def _rmse(row_scores: Floats, y: NDArray[Any], groups: RowNumbers | None = None) -> Score:
    if not row_scores.any():  # predictions for unseen rows may be as far off as the mean
        n = effective_size(row_scores, groups)
        return Score(value=0, low=0, high=float(y.std()) * unseen(n) ** 0.5)
    return ratios([(-row_scores, None)], np.random.default_rng(0), groups=groups)[0].score(0.5)


def _evaluate_values(
    answers: Values,
    data: Dataset,
    rows: RowNumbers,
    task: Regression,
    subset: Subset,
    **_: Any,
) -> RegressionEvaluation:
    y: NDArray[Any] = data.y[rows]
    if data.info is not None and data.info.previous is not None:
        baseline = BaselineValues("last value", data.info.previous[rows])
    else:
        baseline = BaselineValues("mean", float(y.mean()) if task.mean is None else task.mean)
    return RegressionEvaluation.of(y, answers, baseline, target=task.target, subset=subset)


MEASURES: Mapping[TaskKind, Measure] = {
    "classification": Measure(
        score="accuracy",
        column="accuracy",
        more_is_better=Classification.more_is_better,
        shown=lambda score: score.in_percent,
        number=percent,
        error=lambda row_scores: float((1 - row_scores).mean()),
        largest=1.0,
        of_rows=_accuracy,
        evaluate=_evaluate_labels,
    ),
    "regression": Measure(
        score="RMSE",
        column="rmse",
        more_is_better=Regression.more_is_better,
        shown=lambda score: score.in_unit,
        number=in_unit,
        error=lambda row_scores: float(np.sqrt((-row_scores).mean())),
        largest=None,
        of_rows=_rmse,
        evaluate=_evaluate_values,
    ),
}
