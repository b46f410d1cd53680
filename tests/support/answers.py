"""Evaluations of plain arrays, as the answers of a model."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tenfold.core.contract import Decision
from tenfold.evaluation import Evaluation, RegressionEvaluation, Subset
from tenfold.evaluation.regression import BaselineValues
from tenfold.model.predictions import Predictions, Values


def labels_of(
    probabilities: ArrayLike,
    classes: tuple[str, ...],
    *,
    unsure: ArrayLike | None = None,
    decision: tuple[str, float] | None = None,
) -> Predictions:
    """Answers with labels: the probabilities, which rows are unsure, and a threshold."""
    p: Any = np.asarray(probabilities)
    novelty: Any = None if unsure is None else np.asarray(unsure, float)
    chosen = None if decision is None else Decision(positive=decision[0], threshold=decision[1])
    return Predictions(p, classes, chosen, novelty=novelty, novelty_threshold=0.5)


def evaluate_labels(
    true: ArrayLike,
    probabilities: ArrayLike,
    classes: tuple[str, ...],
    *,
    unsure: ArrayLike | None = None,
    decision: tuple[str, float] | None = None,
    data: str = "arrays",
    part: str = "all",
    **options: Any,
) -> Evaluation:
    """An evaluation of labels."""
    answers = labels_of(probabilities, classes, unsure=unsure, decision=decision)
    return Evaluation.of(true, answers, subset=Subset(data, part), **options)


def values_of(
    value: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None
) -> Values:
    """Answers of a regression; without ends they have no intervals."""
    numbers: Any = np.asarray(value)
    nowhere = np.full(numbers.shape, np.inf)
    ends: list[Any] = [
        np.asarray(-nowhere if low is None else low),
        np.asarray(nowhere if high is None else high),
    ]
    return Values(numbers, ends[0], ends[1])


def evaluate_values(
    true: ArrayLike,
    value: ArrayLike,
    *,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    baseline_value: ArrayLike = 0.0,
    baseline_kind: Any = "mean",
    data: str = "arrays",
    part: str = "all",
    **options: Any,
) -> RegressionEvaluation:
    """An evaluation of values."""
    baseline, subset = BaselineValues(baseline_kind, baseline_value), Subset(data, part)
    answers = values_of(value, low, high)
    return RegressionEvaluation.of(true, answers, baseline, subset=subset, **options)
