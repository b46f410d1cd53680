"""What is measured of each kind of answer: the one table of this wing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.task import Classification, Regression, TaskKind
from tenfold.core.text import in_unit
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation.classification import Evaluation
from tenfold.evaluation.intervals import Floats, Score, Subset, ratios, wilson
from tenfold.evaluation.multiple import mean_interval
from tenfold.evaluation.regression import BaselineValues, RegressionEvaluation
from tenfold.model.predictions import Predictions, Values

AnyEvaluation = Evaluation | RegressionEvaluation
"""The numbers of a model of either task; `task` says which."""


@dataclass(frozen=True)
class Measure:
    """How one kind of answer is measured. Row scores (n,) are those of `row_scores` of the answers.

    Attributes:
      score: Name of the score that models are ranked by, for people; `column` in files.
      more_is_better: Whether the larger of two is the better one.
      shown: A score with its interval, for people.
      number: A number in the same unit, for people.
      error: What is lost on rows: the share wrong, or the RMSE.
      of_rows: The score of a model, from its row scores.
      of_seeds: The score of models alike, from the mean of their row scores and how many they are.
      evaluate: Every number, from answers to rows of a dataset, task and subset; by name `recall`
        and `temperature`, as `Evaluation.of` has them.
    """

    score: Literal["accuracy", "RMSE"]
    column: str
    more_is_better: bool
    shown: Callable[[Score], str]
    number: Callable[[float], str]
    error: Callable[[Floats], float]
    of_rows: Callable[[Floats], Score]
    of_seeds: Callable[[Floats, int], Score]
    evaluate: Callable[..., AnyEvaluation]


def _accuracy(row_scores: Floats) -> Score:
    return wilson(int(row_scores.sum()), len(row_scores))


def _evaluate_labels(
    answers: Predictions,
    data: Dataset,
    rows: RowNumbers,
    task: Classification,
    subset: Subset,
    **asked: Any,
) -> Evaluation:
    return Evaluation.of(data.y[rows], answers, positive=task.positive, subset=subset, **asked)


def _rmse(row_scores: Floats) -> Score:
    if not row_scores.any():
        return Score(value=0, low=0, high=0)
    return ratios([(-row_scores, None)], np.random.default_rng(0))[0].score(0.5)


def _rmse_of_seeds(row_scores: Floats, n_seeds: int) -> Score:
    squares = mean_interval(-row_scores)
    low, value, high = (max(end, 0.0) ** 0.5 for end in (squares.low, squares.value, squares.high))
    return Score(value=value, low=low, high=high)


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
        shown=str,
        number="{:.4f}".format,
        error=lambda row_scores: float((1 - row_scores).mean()),
        of_rows=_accuracy,
        of_seeds=lambda row_scores, n_seeds: (
            _accuracy(row_scores) if n_seeds == 1 else mean_interval(row_scores)
        ),
        evaluate=_evaluate_labels,
    ),
    "regression": Measure(
        score="RMSE",
        column="rmse",
        more_is_better=Regression.more_is_better,
        shown=lambda score: score.in_unit,
        number=in_unit,
        error=lambda row_scores: float(np.sqrt((-row_scores).mean())),
        of_rows=_rmse,
        of_seeds=_rmse_of_seeds,
        evaluate=_evaluate_values,
    ),
}
